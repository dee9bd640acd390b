"""Configs in YAML: what is accepted, and how each mistake is named with its line."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast._util.yaml_file import YamlFile
from datafast.config_files.loader import load_project
from datafast.errors import ConfigError

Write = Callable[..., Path]

GOOD = """\
kind: raw
document_types: [manual]
topics: [pumps, valves]
providers: [openai/gpt-5-mini]
"""


@pytest.fixture(autouse=True)
def environment_as_before() -> Iterator[None]:
    """Loading a config may load keys into the environment."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, name: str = "c.yaml") -> Path:
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


def problems_of(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_project(path)
    return str(caught.value).replace(f"{path}:", "c.yaml:").splitlines()


def test_a_config_becomes_a_dataset_with_its_providers(write: Write) -> None:
    project = load_project(
        write("""\
            kind: raw
            output_file: space.jsonl
            document_types: [book, blog]
            topics: [Vacuum]
            languages: {en: English, no: Norwegian}
            num_samples_per_prompt: 1
            prompts: ["{num_samples} {document_type} {language_name} {topic} <<level>>"]
            expansion: {placeholders: {level: [easy, 2]}, combinatorial: true}
            providers:
              - openai/gpt-4.1-mini-2025-04-14
              - {provider: anthropic, model_id: claude-3-5-haiku-latest, temperature: 0.8, rpm_limit: 50}
              - {provider: openai_compatible, model_id: qwen3, api_base: "http://127.0.0.1:8000/v1", api_key_env: MY_KEY}
            run: {max_concurrency: 64, seed: 7}
            """)
    )
    labels = [provider.label for _, provider in project.all_providers()]
    assert labels == [
        "openai/gpt-4.1-mini-2025-04-14",
        "anthropic/claude-3-5-haiku-latest",
        "openai_compatible/qwen3",
    ]
    assert project.config.run.max_concurrency == 64
    assert project.config.languages == {"en": "English", "no": "Norwegian"}
    assert project.dataset().get_num_expected_rows(labels) == 2 * 1 * 2 * 2 * 3  # type: ignore[attr-defined]


def test_a_kind_with_roles_takes_a_provider_for_each(write: Write) -> None:
    project = load_project(
        write("""\
            kind: preference
            input_documents: [A text.]
            llm_as_judge: true
            providers: {question: ollama, chosen: openai, rejected: ollama/a, judge: {provider: mistral}}
            """)
    )
    assert list(project.routes[0].roles) == ["question", "chosen", "rejected", "judge"]


def test_a_section_whose_lines_are_all_commented_out_counts_as_absent(write: Write) -> None:
    assert load_project(write(GOOD + "run:\n  # seed: 7\n")).config.run.seed == 0


def test_an_output_given_beside_the_config_wins(write: Write) -> None:
    path = write(GOOD + "output_file: a.jsonl\n")
    assert load_project(path, output=Path("b.jsonl")).config.output_file == Path("b.jsonl")
    with pytest.raises(
        ConfigError, match=r"^--output: Rows are written as JSON Lines, also into b\.csv\. Name it b\.jsonl;"
    ):
        load_project(path, output=Path("b.csv"))


MISTAKES = [
    ("unknown field", GOOD + "topic: [x]\n", "c.yaml:5: topic: There is no such field. Did you mean 'topics'?"),
    (
        "a setting of runs",
        GOOD + "max_concurency: 4\n",
        "c.yaml:5: max_concurency: There is no such field. It belongs under run: run: {max_concurrency: ...}.",
    ),
    (
        "a parameter of providers",
        GOOD + "max_tokens: 300\n",
        "c.yaml:5: max_tokens: There is no such field. It is a parameter of providers. Give it to the provider, as "
        "max_completion_tokens.",
    ),
    (
        "a misspelt field of our own",
        GOOD.replace("providers", "provider"),
        "c.yaml:4: provider: There is no such field. Did you mean 'providers'?",
    ),
    (
        "a stage that asks for a field that rows do not have",
        GOOD + "quality:\n  - {stage: length, min_words: 2}\n  - {stage: length, field: txt, min_words: 2}\n",
        "c.yaml:7: quality[1].field: Rows have no field 'txt'. Did you mean 'text'?",
    ),
    (
        "unknown field in a section",
        GOOD + "run:\n  seed: 1\n  max_concurency: 3\n",
        "c.yaml:7: run.max_concurency: There is no such field. Did you mean 'max_concurrency'?",
    ),
    (
        "missing field",
        GOOD.replace("topics: [pumps, valves]\n", ""),
        "c.yaml:1: topics: The field is missing. It says: What the texts are about.",
    ),
    (
        "a number where a text belongs",
        GOOD.replace("[pumps, valves]", "\n  - pumps\n  - 1984"),
        "c.yaml:5: topics[1]: expected a text, got 1984. Put it in quotes.",
    ),
    (
        "a text that YAML takes for a mapping",
        GOOD + "prompts:\n  - Write {num_samples}: now\n",
        "c.yaml:6: prompts[0]: expected a text, got a mapping. Put the whole text in quotes, or write it below a |.",
    ),
    (
        "a text where a list belongs",
        GOOD.replace("[manual]", "manual"),
        "expected a list of texts, or a source of them, got 'manual', which is neither a file nor a dataset. Write [manual]",
    ),
    (
        "a text where a number belongs",
        GOOD + "num_samples_per_prompt: few\n",
        "c.yaml:5: num_samples_per_prompt: expected a whole number, got 'few'",
    ),
    (
        "half a surrogate pair",
        GOOD.replace("[pumps, valves]", '\n  - pumps\n  - "a \\ud83d b"'),
        "c.yaml:5: The text holds half a surrogate pair",
    ),
    (
        "a number where a section belongs",
        GOOD + "run: 5\n",
        "c.yaml:5: run: expected a mapping, got 5. Write a name before each value, as in {name: value}.",
    ),
    (
        "a word where a switch belongs",
        GOOD + "run: {ordered: maybe}\n",
        "c.yaml:5: run.ordered: expected true or false, got 'maybe'",
    ),
    ("an empty list", GOOD.replace("[manual]", "[]"), "document_types: The list is empty. Give at least one entry."),
    (
        "an empty mapping",
        GOOD + "languages: {}\n",
        "c.yaml:5: languages: The mapping is empty. Give at least one entry.",
    ),
    (
        "a number out of range",
        GOOD + "run: {max_concurrency: 0}\n",
        "c.yaml:5: run.max_concurrency: expected 1 or more, got 0",
    ),
    ("a language without a name", GOOD + "languages: {en: 5}\n", "c.yaml:5: languages.en: expected a text, got 5"),
    (
        "a mandatory placeholder that is missing",
        GOOD + 'prompts:\n  - "{num_samples} {language_name} {topic} {document_type}"\n  - "{num_samples} {topic}"\n',
        "c.yaml:7: prompts[1]: {language_name}, {document_type} are missing",
    ),
    (
        "an undeclared placeholder",
        GOOD
        + 'prompts: ["{num_samples} {language_name} {topic} {document_type} <<levl>>"]\n'
        + "expansion: {placeholders: {level: [a]}}\n",
        "c.yaml:5: prompts[0]: <<levl>> is not declared. Did you mean <<level>>?",
    ),
    (
        "a placeholder without values",
        GOOD + "expansion:\n  placeholders:\n    level: []\n",
        "c.yaml:7: expansion.placeholders.level: The list is empty",
    ),
    (
        "unknown kind",
        GOOD.replace("raw", "clasification"),
        "c.yaml:1: kind: There is no kind 'clasification'. Did you mean 'classification'?",
    ),
    (
        "a field that is missing in one of the forms that a value may have",
        GOOD + "target_rows: {each: 3}\n",
        "c.yaml:5: target_rows.by: The field is missing. It is required.",
    ),
    ("a fraction", GOOD + "num_rows: 2.5\n", "c.yaml:5: num_rows: expected a whole number, got 2.5."),
    ("no kind", GOOD.replace("kind: raw\n", ""), "c.yaml:1: kind: The field is missing. Write `kind: raw`"),
    (
        "unknown provider",
        GOOD.replace("openai/", "openia/"),
        "c.yaml:4: providers[0]: There is no provider 'openia'. Did you mean 'openai'?",
    ),
    (
        "unknown parameter of a provider",
        GOOD.replace("[openai/gpt-5-mini]", "\n  - openai\n  - provider: openai\n    temprature: 1"),
        "c.yaml:7: providers[1].temprature: A provider has no such parameter. Did you mean 'temperature'?",
    ),
    (
        "a parameter out of range",
        GOOD.replace("openai/gpt-5-mini", "{provider: openai, temperature: 7}"),
        "c.yaml:4: providers[0].temperature: expected a number from 0 to 2, got 7.",
    ),
    (
        "a server without an address",
        GOOD.replace("openai/gpt-5-mini", "openai_compatible/x"),
        "needs the server's address",
    ),
    ("no providers", GOOD.replace("[openai/gpt-5-mini]", "[]"), "c.yaml:4: providers: expected a list"),
    (
        "one provider that is no list",
        GOOD.replace("[openai/gpt-5-mini]", "openai"),
        "c.yaml:4: providers: expected a list",
    ),
    (
        "a provider that is neither text nor mapping",
        GOOD.replace("openai/gpt-5-mini", "7"),
        "c.yaml:4: providers[0]: expected provider/model_id or a mapping",
    ),
    ("a duplicate key", GOOD + "topics: [x]\n", "c.yaml:5: topics: given twice, first in line 3. Remove one of them."),
    ("a tab", GOOD + "run:\n\tseed: 1\n", "c.yaml:6: This is not YAML: found character '\\t'"),
    ("an open bracket", GOOD + "languages: {en: English\nrun: {seed: 1}\n", "c.yaml:6: This is not YAML"),
    ("an open quotation mark", GOOD + 'output_file: "x\n\n\n', "c.yaml:5: This is not YAML"),
    ("a Python object", GOOD + "run: !!python/object:os.system x\n", "c.yaml:5: The tag !!python/object:os.system"),
    ("a second document", GOOD + "---\nkind: raw\n", "c.yaml:5: This is not YAML: but found another document"),
    ("an alias in itself", GOOD + "run: &a {x: *a}\n", "c.yaml:5: This contains itself"),
    ("a merge key", GOOD + "run: {<<: {seed: 1}}\n", "c.yaml:5: Merge keys (<<) are not part of YAML 1.2"),
    ("an empty file", "# nothing\n", "c.yaml:1: The file is empty. `datafast init` writes one to start from"),
    ("a list at the top", "- raw\n", "c.yaml:1: expected a mapping at the top"),
    ("a control character", GOOD + 'output_file: "\x01"\n', "c.yaml:5: There is a control character here"),
]

PREFERENCE = "kind: preference\ninput_documents: [A text.]\nproviders:\n  question: ollama\n  chosen: ollama\n"
ROLE_MISTAKES = [
    ("a missing role", PREFERENCE, "c.yaml:3: providers: No provider is given for rejected"),
    (
        "a misspelt role",
        PREFERENCE + "  rejectd: ollama\n",
        "c.yaml:6: providers.rejectd: This config has no use for this role. Did you mean 'rejected'?",
    ),
    (
        "a role that is switched off",
        PREFERENCE + "  rejected: ollama\n  judge: ollama\n",
        "c.yaml:7: providers.judge: This config has no use for this role. Set llm_as_judge: true to use it.",
    ),
    (
        "a list where roles belong",
        PREFERENCE.split("providers")[0] + "providers: [ollama]\n",
        "c.yaml:3: providers: expected who answers in each role, like {question: openai/gpt-6-luna, chosen: ...}",
    ),
    (
        "a bad provider in a role",
        PREFERENCE + "  rejected: {provider: ollama, top_p: 9}\n",
        "c.yaml:6: providers.rejected.top_p: expected a number from 0 to 1",
    ),
]


@pytest.mark.parametrize(("text", "expected"), [pytest.param(*m[1:], id=m[0]) for m in MISTAKES + ROLE_MISTAKES])
def test_a_mistake_is_named_with_its_line_and_what_was_expected(write: Write, text: str, expected: str) -> None:
    found = problems_of(write(text))
    assert any(expected in problem for problem in found), found
    assert all(problem.startswith("c.yaml:") for problem in found)


def test_a_character_that_json_wrote_as_two_escapes_is_one(write: Write) -> None:
    config = load_project(write(GOOD.replace("pumps", '"pumps \\ud83d\\ude00"'))).config
    assert config.topics[0] == "pumps \U0001f600"  # type: ignore[attr-defined]


def test_a_list_where_roles_belong_is_one_mistake(write: Write) -> None:
    (problem,) = problems_of(write(PREFERENCE.split("providers")[0] + "providers: [ollama]\n"))
    assert problem.endswith("like {question: openai/gpt-6-luna, chosen: ...}.")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            "{mood: word}",
            ["output_columns.mood: expected 'text', 'integer', 'number', 'boolean' or 'texts', got 'word'. Or: "],
        ),
        (
            "{mood: [calm, 0.5]}",
            ["output_columns.mood[0]: expected a whole number", "output_columns.mood[1]: expected a text"],
        ),
    ],
)
def test_a_mistake_within_one_of_several_shapes_is_told_without_the_others(
    write: Write, columns: str, expected: list[str]
) -> None:
    source = "kind: generic_pipeline\nsource: [{text: a}]\ninput_columns: [text]\n"
    path = write(f"{source}output_columns: {columns}\nproviders: [openai/gpt-5-mini]\n")
    problems = problems_of(path)
    assert len(problems) == len(expected)
    for problem, beginning in zip(problems, expected, strict=True):
        assert problem.startswith(f"c.yaml:4: {beginning}")


@pytest.mark.parametrize(
    ("ledger", "expected"),
    [
        ("{replies: {drop_after: writen}}", "run.ledger.replies.drop_after: expected 'written', got 'writen'."),
        ("{replys: keep}", "run.ledger.replys: There is no such field. Did you mean 'replies'?"),
        ("[keep]", "run.ledger: expected a path, got a list. Or: expected a mapping, got a list."),
    ],
)
def test_what_is_wrong_with_a_path_or_a_mapping_is_told_of_the_one_that_is_there(
    write: Write, ledger: str, expected: str
) -> None:
    (problem,) = problems_of(write(f"{GOOD}run: {{ledger: {ledger}}}\n"))
    assert expected in problem


@pytest.mark.parametrize(
    ("name", "wrong", "line"),
    [("kind", "knd", 1), ("document_types", "document_type", 2), ("topics", "topic", 3), ("providers", "provider", 4)],
)
def test_a_misspelt_field_is_one_mistake_and_not_also_a_missing_one(
    write: Write, name: str, wrong: str, line: int
) -> None:
    path = write(GOOD.replace(f"{name}:", f"{wrong}:"))
    assert problems_of(path) == [f"c.yaml:{line}: {wrong}: There is no such field. Did you mean {name!r}?"]


def test_all_mistakes_are_named_at_once_in_the_order_of_the_file(write: Write) -> None:
    found = problems_of(
        write("""\
            kind: raw
            document_types: manual
            topics: [1]
            providers:
              - openia/x
              - {provider: openai, top_k: 3}
            run: {seed: x}
            """)
    )
    assert [problem.split(":")[1] for problem in found] == ["2", "3", "5", "6", "7"]


def test_a_key_in_a_config_is_refused_without_being_repeated(write: Write) -> None:
    path = write(GOOD.replace("openai/gpt-5-mini", "{provider: anthropic, api_key: sk-very-secret}"))
    (problem,) = problems_of(path)
    assert problem.startswith("c.yaml:4: providers[0].api_key: Keys do not belong in a config")
    assert "ANTHROPIC_API_KEY=" in problem
    assert "sk-very-secret" not in problem


def test_a_duplicate_key_is_refused_without_its_value(write: Write) -> None:
    path = write(GOOD.replace("openai/gpt-5-mini", "{provider: openai, api_key: sk-1234, api_key: sk-5678}"))
    found = problems_of(path)
    assert found
    assert "sk-" not in "".join(found)


def test_secrets_beside_the_config_are_loaded_and_the_environment_wins(
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    write("OPENAI_API_KEY=from-the-file\nMISTRAL_API_KEY=of-the-file\n", "secrets.env")
    load_project(write(GOOD))
    assert os.environ["OPENAI_API_KEY"] == "from-the-environment"
    assert os.environ["MISTRAL_API_KEY"] == "of-the-file"


def test_another_file_with_keys_can_be_named_and_must_exist(write: Write, tmp_path: Path) -> None:
    write("MISTRAL_API_KEY=default\n", "secrets.env")
    other = write("MISTRAL_API_KEY=named\n", "other.env")
    load_project(write(GOOD), env_file=other)
    assert os.environ["MISTRAL_API_KEY"] == "named"
    with pytest.raises(ConfigError, match=r"There is no file .*missing\.env"):
        load_project(write(GOOD), env_file=tmp_path / "missing.env")


@pytest.mark.parametrize("content", [b"kind: \xff\n", None])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "c.yaml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        load_project(path)


def test_what_looks_like_a_date_or_a_yaml_1_1_boolean_stays_a_text(write: Write) -> None:
    data = YamlFile(write("a: 2024-01-01\nb: yes\nc: no\nd: 0x1F\ne: 1e3\nf: true\ng: ~\nh: 012\n")).data
    assert data == {"a": "2024-01-01", "b": "yes", "c": "no", "d": 31, "e": 1000.0, "f": True, "g": None, "h": 12}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), json_values, min_size=1, max_size=5))
def test_every_json_document_reads_as_itself(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, object]
) -> None:
    path = tmp_path_factory.mktemp("json") / "c.yaml"
    # JSON leaves DEL and a few others as they are, which YAML wants escaped.
    text = orjson.dumps(document).decode()
    path.write_text("".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text), encoding="utf-8")
    assert YamlFile(path).data == orjson.loads(orjson.dumps(document))
