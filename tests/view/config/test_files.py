"""Configs below a folder: no name leads elsewhere, and saving changes what was changed and nothing else."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.errors import ConfigError
from datafast.view.config.files import ConfigFiles, Conflict, Text, is_config

TEXT = "# a comment\nkind: raw   # and another\n\ntopics: [a]\n"


@pytest.fixture
def files(tmp_path: Path) -> ConfigFiles:
    (tmp_path / "shown").mkdir()
    (tmp_path / "secret.yaml").write_text("kind: secret\n")
    (tmp_path / "shown" / "a.yaml").write_text(TEXT)
    return ConfigFiles(tmp_path / "shown")


def saved(files: ConfigFiles, name: str, text: str) -> bytes:
    done = files.save(name, text, files.read(name).digest)
    assert isinstance(done, Text)
    return (files.folder / name).read_bytes()


def test_configs_are_found_and_other_yaml_is_not(files: ConfigFiles) -> None:
    (files.folder / "deep" / "er").mkdir(parents=True)
    (files.folder / "deep" / "er" / "b.yml").write_bytes(b"\xef\xbb\xbfkind: mcq\n")
    (files.folder / "other.yaml").write_text("services: {web: {kind: x}}\n")
    (files.folder / ".hidden.yaml").write_text(TEXT)
    (files.folder / "c.yaml").symlink_to(files.folder.parent / "secret.yaml")
    assert files.names() == ["a.yaml", "deep/er/b.yml"]


OUTSIDE = ["../secret.yaml", "deep/../../secret.yaml", "/etc/hosts.yaml", "link.yaml", "folder/secret.yaml", "a.yaml/../../secret.yaml",
           "..\\secret.yaml", "C:secret.yaml", "a\0.yaml", "", "notes.txt", "a.yaml.bak"]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leads_out_of_the_folder(files: ConfigFiles, name: str) -> None:
    (files.folder / "link.yaml").symlink_to(files.folder.parent / "secret.yaml")
    (files.folder / "folder").symlink_to(files.folder.parent)
    for act in (files.read, lambda one: files.save(one, "x", "")):
        with pytest.raises(ConfigError):
            act(name)
    assert (files.folder.parent / "secret.yaml").read_text() == "kind: secret\n"


def test_a_pipe_is_not_read(files: ConfigFiles) -> None:
    os.mkfifo(files.folder / "p.yaml")
    with pytest.raises(ConfigError, match="no regular file"):
        files.read("p.yaml")
    assert files.names() == ["a.yaml"]


def test_a_link_within_the_folder_is_followed(files: ConfigFiles) -> None:
    (files.folder / "l.yaml").symlink_to(files.folder / "a.yaml")
    saved(files, "l.yaml", "kind: mcq\n")
    assert (files.folder / "l.yaml").is_symlink()
    assert (files.folder / "a.yaml").read_text() == "kind: mcq\n"


def test_saving_keeps_permissions_and_leaves_nothing_beside(files: ConfigFiles) -> None:
    (files.folder / "a.yaml").chmod(0o640)
    assert saved(files, "a.yaml", TEXT + "# é\n") == (TEXT + "# é\n").encode()
    assert (files.folder / "a.yaml").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in files.folder.iterdir()] == ["a.yaml"]


def test_a_file_that_was_changed_meanwhile_is_not_written_over(files: ConfigFiles) -> None:
    known = files.read("a.yaml")
    (files.folder / "a.yaml").write_text(TEXT + "theirs: 1\n")
    done = files.save("a.yaml", TEXT + "mine: 1\n", known.digest)
    assert isinstance(done, Conflict)
    assert {"-theirs: 1", "+mine: 1"} <= set(done.difference)
    assert (files.folder / "a.yaml").read_text() == TEXT + "theirs: 1\n"
    assert isinstance(files.save("a.yaml", TEXT + "mine: 1\n", done.digest), Text)


def test_of_two_pages_that_save_at_once_one_is_told_of_the_other(files: ConfigFiles) -> None:
    for _ in range(10):
        known = files.read("a.yaml")
        texts = [f"{known.text}# {name}\n" for name in "abcd"]
        with ThreadPoolExecutor() as pool:
            done = list(pool.map(files.save, ["a.yaml"] * 4, texts, [known.digest] * 4))
        (kept,) = (one for one in done if isinstance(one, Text))
        assert files.read("a.yaml") == kept


def test_a_new_file_is_not_written_over_one_that_is_there(files: ConfigFiles) -> None:
    assert isinstance(files.save("a.yaml", "kind: raw\n", ""), Conflict)
    assert isinstance(files.save("new.yaml", "kind: raw\n", ""), Text)
    (files.folder / "new.yaml").unlink()
    assert isinstance(files.save("new.yaml", "kind: raw\n", "0" * 64), Conflict)
    with pytest.raises(ConfigError, match="There is no folder"):
        files.save("none/new.yaml", "kind: raw\n", "")


LINES = st.lists(st.sampled_from(["kind: raw", "# a", "", "x: 'é'", "y: 1  # b"]), max_size=8)


@given(LINES, LINES, st.data())
@settings(max_examples=60)
def test_lines_that_were_not_changed_keep_their_ends(
    tmp_path_factory: pytest.TempPathFactory, before: list[str], after: list[str], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("ends")
    ends = [data.draw(st.sampled_from(["\n", "\r\n", "\r"])) for _ in before]
    given_bytes = "".join(map("".join, zip(before, ends, strict=True))).encode()
    (folder / "a.yaml").write_bytes(given_bytes)
    files = ConfigFiles(folder)
    read = files.read("a.yaml")
    assert saved(files, "a.yaml", read.text) == given_bytes
    text = "\n".join(after)
    written = saved(files, "a.yaml", text)
    assert written.replace(b"\r\n", b"\n").replace(b"\r", b"\n").decode() == text
    assert files.read("a.yaml").text == text


def test_the_mark_at_the_beginning_stays(files: ConfigFiles) -> None:
    (files.folder / "a.yaml").write_bytes(b"\xef\xbb\xbfkind: raw\r\ntopics: [a]\r\n")
    assert files.read("a.yaml").text == "kind: raw\ntopics: [a]\n"
    assert (
        saved(files, "a.yaml", "kind: raw\ntopics: [a]\nnew: 1\n")
        == b"\xef\xbb\xbfkind: raw\r\ntopics: [a]\r\nnew: 1\r\n"
    )


@pytest.mark.parametrize(("data", "told"), [(b"\xff\xfe", "is not UTF-8"), (b"#" * (3 << 20), "more than 2 MiB")])
def test_what_cannot_be_edited_here_is_told(files: ConfigFiles, data: bytes, told: str) -> None:
    (files.folder / "b.yaml").write_bytes(data)
    with pytest.raises(ConfigError, match=told):
        files.read("b.yaml")


def test_half_a_character_is_refused(files: ConfigFiles) -> None:
    with pytest.raises(ConfigError, match="surrogate"):
        saved(files, "a.yaml", "kind: '\ud800'\n")
    assert (files.folder / "a.yaml").read_text() == TEXT


def test_a_config_is_told_from_an_output(files: ConfigFiles) -> None:
    assert is_config(files.folder / "a.yaml")
    assert not is_config(files.folder)
    assert not is_config(files.folder / "rows.jsonl")
    with pytest.raises(ConfigError, match="There is no file"):
        is_config(files.folder / "none.yaml")
