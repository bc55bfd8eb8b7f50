"""What a sample teaches: the closed list, by itself, so that objectives name tasks without knowing of tables."""

from typing import Literal

Task = Literal["t2i", "edit", "compose"]
TASKS: tuple[Task, ...] = ("t2i", "edit", "compose")
