"""The exception with which a paper's own code refuses an input of a caller.

``from mealkit.refusal import Refusal``

Public: kits import it, so its names and parameters stay. It needs the standard library only, and a
checker of types finds it where mealkit is installed.
"""

from typing import Literal, get_args

Status = Literal[400, 413, 415, 422]
"""The HTTP statuses that a refusal may have."""


class Refusal(ValueError):  # noqa: N818  it is what the code does, not a mistake of it
    """An input that the paper's code cannot use: the caller gets the message, and owns the problem.

    ``raise Refusal("the picture has no face", field="image", hint="send a portrait")``
    """

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        hint: str | None = None,
        status: Status = 400,
    ) -> None:
        """Refuse, with what is wrong.

        ``field`` is the input that it is about, such as ``"image"`` or ``"options.depth"``;
        ``hint`` says what to send instead. ``status`` is the answer's: 413 if the input is too
        large, 415 if a file has another type, 422 if the input is well formed and of no use.

        Raises:
            ValueError: the status is another one, which the operator gets as a mistake of the code.
        """
        if status not in get_args(Status):
            raise ValueError(f"status is {status!r}, expected 400, 413, 415 or 422")
        super().__init__(message)
        self.field = field
        self.hint = hint
        self.status: Status = status
