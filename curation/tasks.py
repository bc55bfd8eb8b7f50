"""What a sample teaches: the closed list, by itself, so that objectives name tasks without knowing of tables."""

from typing import Literal

Task = Literal["t2i", "edit", "compose", "set"]
"""Text to image; one reference and an instruction; several references; several targets, of which later ones see earlier ones."""

TASKS: tuple[Task, ...] = ("t2i", "edit", "compose", "set")
