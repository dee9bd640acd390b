"""Responses that have to have what a prompt template requires."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, create_model

from datafast.datasets.instruction.rules import why_response_fails
from datafast.datasets.replies import ReplyText
from datafast.llms.reply_model import ReplyModel
from datafast.prompt_library.template import PromptTemplate

__all__ = ["GUIDANCE_TOLD", "Response", "ResponseModels"]

GUIDANCE_TOLD = "What is expected of the response, which alone you write and which does not speak of this:"
"""What stands between a task and the guidance of a template."""


class Response(ReplyModel):
    """A response."""

    response: ReplyText = Field(description="the response, and nothing else")


class ResponseModels:
    """The models of responses; without requirements responses are plain text, which has none."""

    def __init__(self, template: PromptTemplate | None) -> None:
        self._template = template if template is not None and template.requires else None
        self._made = {may_refuse: self._model(may_refuse=may_refuse) for may_refuse in (False, True)}

    def __call__(self, *, may_refuse: bool) -> type[Response] | None:
        """The model.

        Args:
            may_refuse: whether a response that makes an evolution fail is taken too, whatever it lacks. The evolution is dropped then.
        """
        return self._made[may_refuse]

    def _model(self, *, may_refuse: bool) -> type[Response] | None:
        if (template := self._template) is None:
            return None

        def check(response: str) -> str:
            reason = template.missing_in([response])
            if reason is not None and not (may_refuse and why_response_fails(response)):
                raise ValueError(reason)
            return response

        text: Any = (Annotated[ReplyText, AfterValidator(check)], Field(description="the response, and nothing else"))
        made = create_model("Response", __base__=Response, response=text)
        made.simulated = {"response": template.example} if template.example else {}
        return made
