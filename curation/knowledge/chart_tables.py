"""Real tables to chart, cut out of `vega-datasets`: each cut has names and units in English and Chinese.

The package is located, never imported: its import pulls in pandas for files that the standard library reads.
"""

import csv
import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from random import Random
from typing import NamedTuple

from curation.captions.vocabulary import Words
from curation.knowledge.draws import some

ATTRIBUTION = "vega-datasets (Jake VanderPlas and the Vega project), BSD-3-Clause"


class Category(NamedTuple):
    """Values of named things: bars, slices."""

    title: Words
    unit: Words
    labels: tuple[Words, ...]
    values: tuple[float, ...]
    is_whole: bool
    """Whether the values are parts of one whole, so that shares make sense."""


class Series(NamedTuple):
    """Curves over one axis of years or months."""

    title: Words
    unit: Words
    axis: Words
    ticks: tuple[str, ...]
    names: tuple[Words, ...]
    values: tuple[tuple[float, ...], ...]


class Points(NamedTuple):
    """Pairs of numbers in groups."""

    title: Words
    x: Words
    y: Words
    groups: tuple[Words, ...]
    points: tuple[tuple[tuple[float, float], ...], ...]


class Samples(NamedTuple):
    """Many numbers, in one group or several: histograms and boxes."""

    title: Words
    unit: Words
    groups: tuple[Words, ...]
    values: tuple[tuple[float, ...], ...]


class Grid(NamedTuple):
    """One number a cell."""

    title: Words
    unit: Words
    rows: tuple[Words, ...]
    columns: tuple[Words, ...]
    values: tuple[tuple[float, ...], ...]


_SOURCES = (Words("Fossil Fuels", "化石燃料"), Words("Nuclear Energy", "核能"), Words("Renewables", "可再生能源"))
_WEATHER = (
    ("sun", Words("sun", "晴")), ("rain", Words("rain", "雨")), ("fog", Words("fog", "雾")), ("drizzle", Words("drizzle", "毛毛雨")),
    ("snow", Words("snow", "雪")),
)  # fmt: skip
_MONTHS = tuple(
    Words(en, f"{number}月")
    for number, en in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], start=1)
)
_COMPANIES = (
    ("MSFT", Words("Microsoft", "微软")), ("AMZN", Words("Amazon", "亚马逊")), ("IBM", Words("IBM", "IBM")),
    ("GOOG", Words("Google", "谷歌")), ("AAPL", Words("Apple", "苹果")),
)  # fmt: skip
_INDUSTRIES = (
    ("construction", Words("Construction", "建筑业")), ("manufacturing", Words("Manufacturing", "制造业")),
    ("retail_trade", Words("Retail trade", "零售业")), ("information", Words("Information", "信息业")),
    ("financial_activities", Words("Finance", "金融业")), ("education_and_health_services", Words("Education and health", "教育与医疗")),
    ("leisure_and_hospitality", Words("Leisure and hospitality", "休闲与餐旅")), ("government", Words("Government", "政府")),
)  # fmt: skip
_ORIGINS = (("USA", Words("USA", "美国")), ("Europe", Words("Europe", "欧洲")), ("Japan", Words("Japan", "日本")))
_CAR_MEASURES = (
    ("Miles_per_Gallon", Words("Fuel economy (miles per gallon)", "燃油经济性（英里/加仑）")), ("Horsepower", Words("Horsepower", "马力")),
    ("Weight_in_lbs", Words("Weight (lb)", "重量（磅）")), ("Acceleration", Words("0–60 mph time (s)", "0–60英里加速时间（秒）")),
    ("Displacement", Words("Displacement (cubic inches)", "排量（立方英寸）")),
)  # fmt: skip
_SPECIES = (
    ("setosa", Words("setosa", "山鸢尾")),
    ("versicolor", Words("versicolor", "变色鸢尾")),
    ("virginica", Words("virginica", "维吉尼亚鸢尾")),
)
_IRIS_MEASURES = (
    ("sepalLength", Words("Sepal length (cm)", "花萼长度（厘米）")), ("sepalWidth", Words("Sepal width (cm)", "花萼宽度（厘米）")),
    ("petalLength", Words("Petal length (cm)", "花瓣长度（厘米）")), ("petalWidth", Words("Petal width (cm)", "花瓣宽度（厘米）")),
)  # fmt: skip
_CITIES = (("seattle-temps", Words("Seattle", "西雅图")), ("sf-temps", Words("San Francisco", "旧金山")))
_CAUSES = (
    ("disease", Words("Disease", "疾病")),
    ("wounds", Words("Wounds", "战伤")),
    ("other", Words("Other causes", "其他原因")),
)
_SITES = (
    ("University Farm", Words("University Farm", "大学农场")), ("Waseca", Words("Waseca", "沃西卡")), ("Morris", Words("Morris", "莫里斯")),
    ("Crookston", Words("Crookston", "克鲁克斯顿")), ("Grand Rapids", Words("Grand Rapids", "大急流城")), ("Duluth", Words("Duluth", "德卢斯")),
)  # fmt: skip
_FAHRENHEIT = Words("Temperature (°F)", "温度（°F）")


@cache
def rows(name: str) -> tuple[Mapping[str, object], ...]:
    """The records of one table of the package, numbers as they are written."""
    file = Path(str(distribution("vega-datasets").locate_file("vega_datasets/_data"))) / name
    text = file.read_text(encoding="utf-8")
    return tuple(json.loads(text) if file.suffix == ".json" else csv.DictReader(text.splitlines()))


def _barley(stream: Random) -> Category:
    variety = stream.choice(sorted({str(row["variety"]) for row in rows("barley.json")}))
    year = stream.choice((1931, 1932))
    found = {
        str(row["site"]): _number(row["yield"])
        for row in rows("barley.json")
        if row["variety"] == variety and row["year"] == year
    }
    title = Words(f"Yield of {variety} barley, {year}", f"{year}年{variety}大麦产量")
    unit = Words("Bushels per acre", "蒲式耳/英亩")
    return Category(title, unit, tuple(words for _, words in _SITES), tuple(found[site] for site, _ in _SITES), is_whole=False)


def _employment(stream: Random) -> Category:
    row = stream.choice(rows("us-employment.csv"))
    industries = some(stream, _INDUSTRIES, least=4, most=7)
    month = datetime.fromisoformat(str(row["month"]))
    title = Words(f"US employment, {month:%B %Y}", f"{month.year}年{month.month}月美国就业人数")
    unit = Words("Thousand persons", "千人")
    values = tuple(_number(row[key]) for key, _ in industries)
    return Category(title, unit, tuple(words for _, words in industries), values, is_whole=False)


def _weather_days(stream: Random) -> Category:
    year = stream.choice((2012, 2013, 2014, 2015))
    days = [str(row["weather"]) for row in rows("seattle-weather.csv") if str(row["date"]).startswith(str(year))]
    kinds = [(words, days.count(key)) for key, words in _WEATHER if days.count(key)]
    title = Words(f"Seattle weather, {year}", f"{year}年西雅图天气")
    return Category(
        title, Words("Days", "天数"), tuple(words for words, _ in kinds), tuple(float(n) for _, n in kinds), is_whole=True
    )


def _electricity(stream: Random) -> Category:
    year = stream.randint(2001, 2017)
    found = {
        str(row["source"]): _number(row["net_generation"]) for row in rows("iowa-electricity.csv") if _year(row["year"]) == year
    }
    title = Words(f"Electricity in Iowa, {year}", f"{year}年艾奥瓦州发电量")
    unit = Words("Thousand MWh", "千兆瓦时")
    return Category(title, unit, _SOURCES, tuple(found[words.en] for words in _SOURCES), is_whole=True)


def _origins(stream: Random) -> Category:
    year = stream.randint(1970, 1980)
    found = [str(row["Origin"]) for row in rows("cars.json") if _year(row["Year"]) == year]
    title = Words(f"Car models by origin, {year}", f"{year}年车型产地分布")
    values = tuple(float(found.count(key)) for key, _ in _ORIGINS)
    return Category(title, Words("Number of models", "车型数量"), tuple(words for _, words in _ORIGINS), values, is_whole=True)


def _stocks(stream: Random) -> Series:
    companies = [company for company in some(stream, _COMPANIES, least=1, most=4) if company[0] != "GOOG"] or [_COMPANIES[0]]
    first = stream.randint(2000, 2007)
    years = range(first, min(2009, first + stream.randint(2, 6)) + 1)
    by_month: dict[str, dict[str, float]] = defaultdict(dict)
    for row in rows("stocks.csv"):
        date = datetime.strptime(str(row["date"]), "%b %d %Y")
        by_month[str(row["symbol"])][f"{date:%Y-%m}"] = _number(row["price"])
    ticks = tuple(month for month in sorted(by_month["MSFT"]) if int(month[:4]) in years)
    values = tuple(tuple(by_month[key][month] for month in ticks) for key, _ in companies)
    whose = companies[0][1] if len(companies) == 1 else Words("Share", "")
    title = Words(
        f"{whose.en} {'share ' if len(companies) == 1 else ''}prices, {years[0]}–{years[-1]}",
        f"{years[0]}–{years[-1]}年{whose.zh}股价",
    )
    return Series(
        title, Words("US dollars", "美元"), Words("Month", "月份"), ticks, tuple(words for _, words in companies), values
    )


def _electricity_years(stream: Random) -> Series:
    sources = some(stream, _SOURCES, least=2, most=3)
    first = stream.randint(2001, 2008)
    ticks = tuple(str(year) for year in range(first, first + stream.randint(6, 9) + 1) if year <= 2017)
    found = {
        (str(row["source"]), str(_year(row["year"]))): _number(row["net_generation"]) for row in rows("iowa-electricity.csv")
    }
    values = tuple(tuple(found[words.en, tick] for tick in ticks) for words in sources)
    title = Words(f"Electricity in Iowa, {ticks[0]}–{ticks[-1]}", f"{ticks[0]}–{ticks[-1]}年艾奥瓦州发电量")
    return Series(title, Words("Thousand MWh", "千兆瓦时"), Words("Year", "年份"), ticks, tuple(sources), values)


def _driving(stream: Random) -> Series:
    first = stream.randint(1956, 1985)
    last = min(2010, first + stream.randint(10, 30))
    chosen = sorted(
        (row for row in rows("driving.json") if first <= _number(row["year"]) <= last), key=lambda row: _number(row["year"])
    )
    key, name, unit = stream.choice((
        ("miles", Words("Miles driven per person", "人均驾驶里程"), Words("Miles per year", "英里/年")),
        ("gas", Words("Petrol price", "汽油价格"), Words("US dollars per gallon", "美元/加仑")),
    ))  # fmt: skip
    ticks = tuple(str(int(_number(row["year"]))) for row in chosen)
    title = Words(f"{name.en} in the USA, {ticks[0]}–{ticks[-1]}", f"{ticks[0]}–{ticks[-1]}年美国{name.zh}")
    return Series(title, unit, Words("Year", "年份"), ticks, (name,), (tuple(_number(row[key]) for row in chosen),))


def _crimea(stream: Random) -> Series:
    causes = some(stream, _CAUSES, least=2, most=3)
    ticks = tuple(str(row["date"])[:7] for row in rows("crimea.json"))
    values = tuple(tuple(_number(row[key]) for row in rows("crimea.json")) for key, _ in causes)
    title = Words("Deaths in the Crimean War, 1854–1856", "1854–1856年克里米亚战争死亡人数")
    return Series(
        title,
        Words("Deaths per month", "每月死亡人数"),
        Words("Month", "月份"),
        ticks,
        tuple(words for _, words in causes),
        values,
    )


def _city_temperatures(stream: Random) -> Series:
    cities = some(stream, _CITIES, least=1, most=2)
    values = tuple(tuple(round(statistics.fmean(_temperatures(key)[month]), 1) for month in range(1, 13)) for key, _ in cities)
    where = Words(" and ".join(words.en for _, words in cities), "与".join(words.zh for _, words in cities))
    title = Words(f"Mean temperature in {where.en}, 2010", f"2010年{where.zh}平均气温")
    ticks = tuple(words.en for words in _MONTHS)
    return Series(title, _FAHRENHEIT, Words("Month", "月份"), ticks, tuple(words for _, words in cities), values)


def _cars_points(stream: Random) -> Points:
    x, y = stream.sample(_CAR_MEASURES, 2)
    origins = some(stream, _ORIGINS, least=2, most=3)
    points = tuple(_pairs("cars.json", x[0], y[0], "Origin", key) for key, _ in origins)
    return Points(Words("Cars of 1970–1982", "1970–1982年的汽车"), x[1], y[1], tuple(words for _, words in origins), points)


def _iris_points(stream: Random) -> Points:
    x, y = stream.sample(_IRIS_MEASURES, 2)
    points = tuple(_pairs("iris.json", x[0], y[0], "species", key) for key, _ in _SPECIES)
    return Points(Words("Three species of iris", "三种鸢尾花"), x[1], y[1], tuple(words for _, words in _SPECIES), points)


def _anscombe_points(stream: Random) -> Points:
    number = stream.choice(("I", "II", "III", "IV"))
    title = Words(f"Anscombe's quartet, set {number}", f"安斯库姆四重奏第{number}组")
    points = _pairs("anscombe.json", "X", "Y", "Series", number)
    return Points(title, Words("x", "x"), Words("y", "y"), (Words(f"set {number}", f"第{number}组"),), (points,))


def _car_samples(stream: Random) -> Samples:
    key, words = stream.choice(_CAR_MEASURES)
    values = tuple(
        tuple(_number(row[key]) for row in rows("cars.json") if row["Origin"] == origin and row[key] is not None)
        for origin, _ in _ORIGINS
    )
    title = Words(f"{words.en.split(' (')[0]} of cars, 1970–1982", f"1970–1982年汽车的{words.zh.split('（')[0]}")
    return Samples(title, words, tuple(words for _, words in _ORIGINS), values)


def _iris_samples(stream: Random) -> Samples:
    key, words = stream.choice(_IRIS_MEASURES)
    values = tuple(tuple(_number(row[key]) for row in rows("iris.json") if row["species"] == kind) for kind, _ in _SPECIES)
    title = Words(f"{words.en.split(' (')[0]} of iris flowers", f"鸢尾花的{words.zh.split('（')[0]}")
    return Samples(title, words, tuple(words for _, words in _SPECIES), values)


def _temperature_samples(stream: Random) -> Samples:
    city, words = stream.choice(_CITIES)
    months = some(stream, range(1, 13), least=1, most=4)
    values = tuple(tuple(_temperatures(city)[month]) for month in months)
    when = Words(f"{_MONTHS[months[0] - 1].en} 2010", f"2010年{months[0]}月") if len(months) == 1 else Words("2010", "2010年")
    title = Words(f"Hourly temperature in {words.en}, {when.en}", f"{when.zh}{words.zh}每小时气温")
    return Samples(title, _FAHRENHEIT, tuple(_MONTHS[month - 1] for month in months), values)


def _barley_grid(stream: Random) -> Grid:
    year = stream.choice((1931, 1932))
    varieties = some(stream, sorted({str(row["variety"]) for row in rows("barley.json")}), least=5, most=8)
    found = {(str(row["variety"]), str(row["site"])): _number(row["yield"]) for row in rows("barley.json") if row["year"] == year}
    values = tuple(tuple(round(found[variety, site], 1) for site, _ in _SITES) for variety in varieties)
    title = Words(f"Barley yield by variety and site, {year}", f"{year}年各品种各地点的大麦产量")
    names = tuple(Words(variety, variety) for variety in varieties)
    return Grid(title, Words("Bushels per acre", "蒲式耳/英亩"), names, tuple(words for _, words in _SITES), values)


def _temperature_grid(stream: Random) -> Grid:
    city, words = stream.choice(_CITIES)
    hours = range(0, 24, 3)
    cells: dict[tuple[int, int], list[float]] = defaultdict(list)
    for row in rows(f"{city}.csv"):
        date, clock = str(row["date"]).split(" ")
        cells[int(date.split("/")[1]), int(clock[:2])].append(_number(row["temp"]))
    values = tuple(tuple(round(statistics.fmean(cells[month, hour]), 1) for month in range(1, 13)) for hour in hours)
    title = Words(f"Mean temperature in {words.en} by hour and month, 2010", f"2010年{words.zh}各月各时刻平均气温")
    return Grid(title, _FAHRENHEIT, tuple(Words(f"{hour}:00", f"{hour}时") for hour in hours), _MONTHS, values)


CATEGORIES: tuple[Callable[[Random], Category], ...] = (_barley, _employment, _weather_days, _electricity, _origins)
WHOLES: tuple[Callable[[Random], Category], ...] = (_weather_days, _electricity, _origins)
SERIES: tuple[Callable[[Random], Series], ...] = (_stocks, _electricity_years, _driving, _crimea, _city_temperatures)
POINTS: tuple[Callable[[Random], Points], ...] = (_cars_points, _iris_points, _anscombe_points)
SAMPLES: tuple[Callable[[Random], Samples], ...] = (_car_samples, _iris_samples, _temperature_samples)
GRIDS: tuple[Callable[[Random], Grid], ...] = (_barley_grid, _temperature_grid)


@cache
def _temperatures(city: str) -> Mapping[int, Sequence[float]]:
    months: dict[int, list[float]] = defaultdict(list)
    for row in rows(f"{city}.csv"):
        months[int(str(row["date"]).split("/")[1])].append(_number(row["temp"]))
    return months


def _pairs(table: str, x: str, y: str, group: str, key: str) -> tuple[tuple[float, float], ...]:
    whole = (row for row in rows(table) if row[group] == key and row[x] is not None and row[y] is not None)
    return tuple((_number(row[x]), _number(row[y])) for row in whole)


def _number(value: object) -> float:
    return float(str(value))


def _year(date: object) -> int:
    return int(str(date)[:4])
