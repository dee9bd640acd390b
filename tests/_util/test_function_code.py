"""What stands for a function: all that can change what it gives, and nothing that differs from process to process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from datafast._util.function_code import code_of

# Functions of a user, each with a 1 somewhere that decides what it gives.
REACHES = {
    "a list of a class": "class K:\n  V = [1]\n  def __call__(self, row): return self.V[0]\nf = K()",
    "a property": "class K:\n  @property\n  def p(self): return 1\n  def __call__(self, row): return self.p\nf = K()",
    "a static method": "class K:\n  @staticmethod\n  def p(): return 1\n  def __call__(self, row): return self.p()\nf = K()",
    "a method of the class": "class K:\n  @classmethod\n  def p(cls): return 1\n  def __call__(self, row): return self.p()\nf = K()",
    "a base": "class B:\n  def p(self): return 1\nclass K(B):\n  def __call__(self, row): return self.p()\nf = K()",
    "a metaclass": "class M(type):\n  V = 1\nclass K(metaclass=M): pass\ndef f(row): return K.V",
    "what a class is made with": "class K:\n  def __init__(self): self.v = 1\ndef f(row): return K().v",
    "an operator": "class K:\n  def __add__(self, other): return 1\nk = K()\ndef f(row): return k + 1",
    "a cached property": "import functools\nclass K:\n  @functools.cached_property\n  def p(self): return 1\ndef f(row): return K().p",
    "a dataclass": "import dataclasses\n@dataclasses.dataclass\nclass K:\n  v: int = 1\ndef f(row): return K().v",
    "an enum": "import enum\nclass K(enum.Enum):\n  A = 1\ndef f(row): return K.A.value",
    "a pydantic model": "import pydantic\nclass K(pydantic.BaseModel):\n  v: int = 1\ndef f(row): return K().v",
    "a named tuple": "import collections\nN = collections.namedtuple('N', 'a')\nn = N(1)\ndef f(row): return n.a",
    "an attribute of itself": "def f(row): return f.a\nf.a = 1",
    "the default of a mapping": "import collections\nd = collections.defaultdict(lambda: 1)\ndef f(row): return d[0]",
    "a mapping of the user's": "class D(dict):\n  def __missing__(self, key): return 1\nd = D()\ndef f(row): return d[0]",
}


def made(source: str) -> Any:
    space: dict[str, Any] = {"__name__": "script"}
    exec(compile(source, "script", "exec", dont_inherit=True), space)
    return space["f"]


@pytest.mark.parametrize("what", REACHES)
def test_whatever_a_function_reaches_tells_it_apart(what: str) -> None:
    source = REACHES[what]
    changed = source.replace("1", "2", 1)
    assert (made(source)(None), made(changed)(None)) == (1, 2)
    assert code_of(made(source)) == code_of(made(source))
    assert code_of(made(source))[0] != code_of(made(changed))[0]


def test_it_is_the_same_in_every_process() -> None:
    program = (
        "import sys, json\nfrom datafast._util.function_code import code_of\n"
        "for source in json.load(sys.stdin):\n    space = {'__name__': 'script'}\n    exec(source, space)\n    print(*code_of(space['f']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(list(REACHES.values())),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        f"{code} True" for code, _ in (code_of(made(source)) for source in REACHES.values())
    ]
