import json

import pytest

from pipelines.serve.openai_wire import ImagesBody, WireError, checked_model, checked_size, error_body, parse_fields, parse_json


def parsed(**fields: object) -> ImagesBody:
    return parse_json(json.dumps(fields).encode())


def refusal(**fields: object) -> WireError:
    with pytest.raises(WireError) as caught:
        parsed(**fields)
    return caught.value


def test_what_the_openai_client_sends_is_understood():
    body = parsed(prompt="a bear", model="seedbed", n=2, size="64x64", response_format="b64_json", quality="auto", user="me")
    assert (body.prompt, body.n, body.size, body.seed) == ("a bear", 2, "64x64", None)


def test_null_counts_as_left_out():
    assert parsed(prompt="a bear", n=None, size=None, quality=None) == parsed(prompt="a bear")


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({}, "prompt", "field 'prompt' is missing"),
        ({"prompt": " \n"}, "prompt", "the prompt is empty"),
        ({"prompt": "x" * 32_001}, "prompt", "at most 32000 characters"),
        ({"prompt": 7}, "prompt", "field 'prompt' is 7"),
        ({"prompt": "a", "steps": 4}, "steps", "unknown field 'steps'; this server understands prompt, model, n, size, seed"),
        ({"prompt": "a", "n": 0}, "n", "field 'n' is 0"),
        ({"prompt": "a", "n": 11}, "n", "less than or equal to 10"),
        ({"prompt": "a", "n": "2"}, "n", "field 'n' is '2'"),
        ({"prompt": "a", "n": True}, "n", "field 'n' is True"),
        ({"prompt": "a", "seed": -1}, "seed", "field 'seed' is -1"),
        ({"prompt": "a", "response_format": "url"}, "response_format", "field 'response_format' is 'url'"),
        ({"prompt": "a", "output_format": "jpeg"}, "output_format", "'png'"),
        ({"prompt": "a", "background": "transparent"}, "background", "'auto' or 'opaque'"),
        ({"prompt": "a", "stream": True}, "stream", "streaming is not offered"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], param: str, says: str):
    error = refusal(**fields)
    assert (error.status, error.param) == (400, param)
    assert says in error.message


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"prompt"', b"null", b"\xff\xfe", b"[" * 100_000, b'{"prompt": NaN}'])
def test_a_body_that_is_no_object_is_refused(body: bytes):
    with pytest.raises(WireError, match=r"the body is|field 'prompt'") as caught:
        parse_json(body)
    assert caught.value.status == 400


def test_a_long_value_is_cut_in_the_message():
    assert len(refusal(prompt="a", n="9" * 5000).message) < 200


def test_form_fields_are_text_and_become_numbers():
    body = parse_fields([("prompt", "a"), ("n", "2"), ("seed", "5"), ("stream", "false")])
    assert (body.n, body.seed, body.stream) == (2, 5, False)


def test_a_form_field_sent_twice_is_refused():
    with pytest.raises(WireError, match="'prompt' was sent 2 times"):
        parse_fields([("prompt", "a"), ("prompt", "b")])


def test_size_is_the_models_or_auto():
    assert checked_size("auto", offered="64x64") == checked_size("64x64", offered="64x64") == "64x64"
    with pytest.raises(WireError, match=r"size '1024x1024' is not offered; this model makes '64x64'"):
        checked_size("1024x1024", offered="64x64")


def test_another_model_is_not_found():
    checked_model(None, served=("seedbed", "ab12"))
    checked_model("ab12", served=("seedbed", "ab12"))
    with pytest.raises(WireError, match=r"model 'dall-e-3' is not served here; send 'seedbed' or 'ab12'") as caught:
        checked_model("dall-e-3", served=("seedbed", "ab12"))
    assert caught.value.status == 404


@pytest.mark.parametrize(("status", "kind"), [(400, "invalid_request_error"), (429, "rate_limit_error"), (503, "server_error")])
def test_errors_have_openais_form(status: int, kind: str):
    body = error_body(WireError("no", param="n", code="c", status=status)).model_dump()
    assert body == {"error": {"message": "no", "type": kind, "param": "n", "code": "c"}}
