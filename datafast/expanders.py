"""The public import path of `expand_prompts`; see `datafast.plan.expansion`."""

from datafast.plan.expansion import expand_prompts

__all__ = ["expand_prompts"]
