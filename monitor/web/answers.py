"""How the operators' application says what is wrong, and how its routes document that."""

from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse

from monitor.web.views import Problem

Answers = dict[int | str, dict[str, Any]]
"""Answers of a route beside the usual one, as FastAPI documents them."""

INVALID: Answers = {422: {"model": Problem, "description": "a parameter isn't valid"}}


def refusal(status: int, error: str, sentence: str) -> Response:
    """Return an answer that says what is wrong, in a word for programs and a sentence for people."""
    return JSONResponse(Problem(error=error, detail=sentence).model_dump(), status)
