"""Files of all sorts, several at once, compressed, in folders, and at addresses."""

from __future__ import annotations

import functools
import gzip
import http.server
import io
import json
import sys
import tempfile
import threading
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from datafast.datasets import RawDataset
from datafast.errors import ConfigError, DatafastWarning
from datafast.schema.config import RawDatasetConfig
from tests.sources.test_sources import opened, refusal

ROWS = [{"text": f"text {number}", "n": number} for number in range(20)]


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def config(topics: Any, folder: Path, **fields: Any) -> RawDatasetConfig:
    return RawDatasetConfig(topics=topics, document_types=["note"], output_file=folder / "out.jsonl", **fields)


# -- sorts of files


@pytest.mark.parametrize("name", ["a.txt", "a.md"])
def test_a_text_file_is_one_row_or_a_row_a_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes("\ufeff# Tides \n\n  ebb\r\n \nflow é\n".encode())
    assert list(opened(path)) == [{"text": "# Tides \n\n  ebb\r\n \nflow é\n", "file": name}]
    rows = opened(path, lines=True)
    assert [row["text"] for row in rows] == ["# Tides ", "  ebb", "flow é"]
    assert rows.place(2) == "line 5"


def test_text_in_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("flow\nété".encode("cp1252"))
    assert opened(path, encoding="cp1252")[0]["text"] == "flow\nété"
    assert f"{path}:2: The byte 0xe9 in column 1 is not UTF-8" in refusal(path)
    assert f"{path}:2: The byte 0xe9 in column 1 is not UTF-8" in refusal(path, lines=True)


def test_topics_are_the_lines_of_a_text_file_and_documents_its_whole(tmp_path: Path) -> None:
    path = tmp_path / "topics.txt"
    path.write_text("tides\nice\n\n", encoding="utf-8")
    assert list(config(str(path), tmp_path).topics) == ["tides", "ice"]
    assert list(config({"source": str(path), "lines": False}, tmp_path).topics) == ["tides\nice\n\n"]


@pytest.mark.parametrize("form", ["stream", "file"])
def test_arrow_files_of_both_forms_give_their_rows(tmp_path: Path, form: str) -> None:
    table = pa.Table.from_pylist(ROWS)
    path = tmp_path / "a.arrow"
    new = pa.ipc.new_stream if form == "stream" else pa.ipc.new_file
    with new(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    assert list(opened(path)) == ROWS
    path.write_bytes(b"no arrow at all")
    assert "Cannot read" in refusal(path)


@pytest.mark.parametrize("splits", [False, True])
def test_what_save_to_disk_has_written_gives_its_rows(tmp_path: Path, splits: bool) -> None:
    made = datasets.Dataset.from_list(ROWS)
    (datasets.DatasetDict({"train": made, "test": made.select([0])}) if splits else made).save_to_disk(tmp_path / "d")
    assert list(opened(tmp_path / "d")) == ROWS
    if splits:
        assert len(opened(str(tmp_path / "d"), split="test")) == 1


# -- several files


def test_a_pattern_reads_all_files_that_it_means_in_order(tmp_path: Path) -> None:
    for number, start in enumerate(range(0, 20, 5)):
        folder = tmp_path / f"part{number % 2}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.jsonl").write_bytes(jsonl(ROWS[start : start + 5]))
    rows = opened("part*/*.jsonl", folder=tmp_path)
    assert [row["n"] for row in rows] == [*range(5), *range(10, 15), *range(5, 10), *range(15, 20)]
    assert rows[7] == ROWS[12]
    assert len(rows.files) == 4
    assert list(opened("**/*.jsonl", folder=tmp_path, where="n % 7 == 0", limit=2)) == [ROWS[0], ROWS[14]]
    (tmp_path / "part1" / "1.jsonl").write_bytes(jsonl(ROWS[:3]) + b"\n{")
    assert "1.jsonl:4: This line is not JSON" in refusal(str(tmp_path / "part*" / "*.jsonl"))
    assert "No file matches" in refusal(str(tmp_path / "none*.jsonl"))


def test_a_problem_of_a_row_names_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl(ROWS[:2]))
    (tmp_path / "b.jsonl").write_bytes(jsonl([ROWS[2], {"text": " ", "n": 1}]))
    with pytest.raises(ValueError, match=r"b\.jsonl, line 2: The column 'text' is empty"):
        config({"source": str(tmp_path / "*.jsonl")}, tmp_path)


def test_copies_beside_a_ledger_are_no_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"text\na\nb\n"))
    for ledger in (None, tmp_path / "own"):
        run = {"run": {"ledger": ledger}} if ledger else {}
        for _ in range(2):
            given = {"source": f"{tmp_path}/**/*.csv*", "column": "text"}
            assert list(config(given, tmp_path, **run).topics) == ["a", "b"]
            assert list(config({"source": str(tmp_path), "column": "text"}, tmp_path, **run).topics) == ["a", "b"]


def test_equal_rows_of_two_files_are_told_apart(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_bytes(jsonl(ROWS[:3]))
    rows = opened(tmp_path / "*.jsonl")
    assert len({rows.id_of(number) for number in range(6)}) == 6


def test_the_manifest_of_an_output_is_no_file_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl(ROWS))
    (tmp_path / "a.jsonl.manifest.json").write_text("{}", encoding="utf-8")
    assert list(opened(tmp_path)) == ROWS
    (tmp_path / "a.jsonl").unlink()
    (tmp_path / "a.jsonl.manifest.json").write_text('[{"n": 1}]', encoding="utf-8")
    assert list(opened(tmp_path)) == [{"n": 1}], "without the rows it is a file like others"


def test_a_folder_gives_its_files_of_one_sort(tmp_path: Path) -> None:
    for name in ("b.md", "deep/a.md", ".hidden/c.md", ".d.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"about {name}", encoding="utf-8")
    assert [row["text"] for row in opened(tmp_path)] == ["about b.md", "about deep/a.md"]
    (tmp_path / "figure.png").write_bytes(b"\x89PNG")
    with pytest.warns(DatafastWarning, match=r"figure\.png are not read"):
        assert len(opened(tmp_path)) == 2
    (tmp_path / "c.jsonl").write_bytes(jsonl(ROWS))
    assert f"has files of several sorts: .jsonl, .md. Say which by a pattern, as in {tmp_path}/*.jsonl." in refusal(
        tmp_path
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "has no file that ends in one of" in refusal(empty)


# -- compressed files


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.txt"])
def test_a_compressed_file_is_read_as_what_it_holds(tmp_path: Path, name: str) -> None:
    content = jsonl(ROWS) if name.endswith("l") else b"text,n\n" + b"\n".join(b"text %d,%d" % (n, n) for n in range(20))
    (tmp_path / name).write_bytes(content)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content[:50]) + gzip.compress(content[50:]))
    plain, packed = opened(tmp_path / name), opened(tmp_path / f"{name}.gz")
    assert list(packed) == list(plain)
    assert packed.digest == plain.digest
    assert packed.place(len(packed) - 1) == plain.place(len(plain) - 1)
    assert packed.files == (tmp_path / f"{name}.gz",)


def test_a_compressed_file_is_unpacked_once_beside_the_ledger(tmp_path: Path) -> None:
    path = tmp_path / "topics.jsonl.gz"
    path.write_bytes(gzip.compress(jsonl(ROWS)))
    copies = tmp_path / "out.jsonl.ledger-sources"
    assert len(config({"source": str(path)}, tmp_path).topics) == 20
    (copy,) = copies.rglob("topics.jsonl")
    first = copy.stat().st_ino
    assert len(config({"source": str(path)}, tmp_path).topics) == 20
    assert copy.stat().st_ino == first
    path.write_bytes(gzip.compress(jsonl(ROWS[:3]) + b" "))
    assert len(config({"source": str(path)}, tmp_path).topics) == 3
    assert len(list(copies.rglob("topics.jsonl"))) == 1


@pytest.mark.parametrize("cut", [0, 5, 20, -9, -4])
def test_a_file_that_is_cut_off_or_not_compressed_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(jsonl(ROWS))[:cut] if cut else jsonl(ROWS))
    assert "rows.jsonl.gz cannot be unpacked: " in refusal(path)
    assert not list((tmp_path / "out.jsonl.ledger-sources").rglob("*"))


def test_what_would_fill_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafast.sources.file._ALWAYS", 2**20)
    packer = zlib.compressobj(9, wbits=31)
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(b"".join(packer.compress(b" " * 2**20) for _ in range(64)) + packer.flush())
    with pytest.raises(ConfigError, match="unpacks to more than"):
        opened(path)


def test_zstd_is_read_or_told_what_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.zst"
    raw = jsonl(ROWS)
    # A frame of one raw block, written by hand: RFC 8878.
    path.write_bytes(
        b"\x28\xb5\x2f\xfd\xe0" + len(raw).to_bytes(8, "little") + (len(raw) << 3 | 1).to_bytes(3, "little") + raw
    )
    if sys.version_info < (3, 14) and find_spec("zstandard") is None:
        assert "pip install 'datafast[zstd]'" in refusal(path)
    else:
        assert list(opened(path)) == ROWS


@pytest.mark.parametrize("cut", [0, 30, -4])
def test_zstd_of_several_frames_is_read_and_what_is_cut_off_refused(tmp_path: Path, cut: int) -> None:
    zstandard = pytest.importorskip("zstandard", reason="zstandard is not installed")
    packer, raw = zstandard.ZstdCompressor(), jsonl(ROWS)
    path = tmp_path / "rows.jsonl.zst"
    whole = packer.compress(raw[:100]) + packer.compress(raw[100:])
    path.write_bytes(whole[:cut] if cut else whole)
    if cut:
        assert "rows.jsonl.zst cannot be unpacked: " in refusal(path)
    else:
        assert list(opened(path)) == ROWS


# -- addresses


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    MemoryFileSystem.store.clear()
    yield MemoryFileSystem()
    MemoryFileSystem.store.clear()


def test_a_file_at_an_address_is_copied_once_and_anew_when_it_changes(tmp_path: Path, memory: MemoryFileSystem) -> None:
    memory.pipe("/data/a.jsonl", jsonl(ROWS))
    assert len(config("memory://data/a.jsonl", tmp_path).topics) == 20
    (copy,) = (tmp_path / "out.jsonl.ledger-sources").rglob("a.jsonl")
    copy.write_bytes(jsonl(ROWS[:4]))
    assert len(config("memory://data/a.jsonl", tmp_path).topics) == 4  # the copy is what is read
    memory.pipe("/data/a.jsonl", jsonl(ROWS[:7]))
    assert len(config("memory://data/a.jsonl", tmp_path).topics) == 7


def test_patterns_folders_and_compressed_files_at_addresses(memory: MemoryFileSystem) -> None:
    memory.pipe("/data/a.jsonl", jsonl(ROWS[:10]))
    memory.pipe("/data/b.jsonl.gz", gzip.compress(jsonl(ROWS[10:])))
    assert list(opened("memory://data/*.jsonl*")) == ROWS
    assert list(opened("memory://data")) == ROWS
    assert "There is no file at memory://none" in refusal("memory://none")
    assert "Cannot read memory://data/c.jsonl: FileNotFoundError" in refusal("memory://data/c.jsonl")
    assert "Cannot open nosuch://a.jsonl" in refusal("nosuch://a.jsonl")


def test_signs_in_names_and_folders_among_files_at_addresses(tmp_path: Path, memory: MemoryFileSystem) -> None:
    memory.pipe("/data/a#?.csv", b"text\na\n")
    memory.pipe("/data/below/b.csv", b"text\nb\n")
    assert [row["text"] for row in opened("memory://data/*", spool=tmp_path)] == ["a"]
    assert [row["text"] for row in opened("memory://data", spool=tmp_path)] == ["a", "b"]


def test_an_outage_leaves_the_copy_of_the_last_run(
    tmp_path: Path, memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe("/data/a.jsonl", jsonl(ROWS))
    config("memory://data/a.jsonl", tmp_path)

    def down(*_: Any, **__: Any) -> Any:
        raise TimeoutError("no answer")

    monkeypatch.setattr(MemoryFileSystem, "info", down)
    with pytest.warns(DatafastWarning, match=r"cannot be reached \(TimeoutError\); the copy of an earlier run is used"):
        assert len(config("memory://data/a.jsonl", tmp_path).topics) == 20
    assert "TimeoutError: no answer" in refusal("memory://data/a.jsonl")


def test_a_file_comes_over_http_and_what_is_secret_in_its_address_is_told_nobody(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text\ntides\n" + b"ice\n" * 50_000)
    handler = functools.partial(_Quiet, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        found = config(f"{address}/a.csv?token=s3cret", tmp_path)
        message = refusal(f"{address}/none.csv?token=s3cret")
        server.shutdown()
    assert len(found.topics) == 50_001
    assert "s3cret" not in found.model_dump_json() + message + repr(found.topics)
    assert f"Cannot read {address}/none.csv" in message


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def test_a_proxy_of_the_environment_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = b"text\nby proxy\n"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("no_proxy", "localhost")
        rows = opened("http://nowhere.invalid/rows.csv", spool=tmp_path)
        server.shutdown()
    assert list(rows) == [{"text": "by proxy"}]
    assert set(asked) == {"http://nowhere.invalid/rows.csv"}


def test_a_run_over_a_compressed_source_goes_on_after_the_original_is_gone(tmp_path: Path) -> None:
    """Rows are read from the copy; the original is looked at when a config is made."""
    from datafast.llms.simulated.provider import SimulatedProvider

    path = tmp_path / "topics.jsonl.gz"
    path.write_bytes(gzip.compress(jsonl(ROWS)))
    dataset = RawDataset(config({"source": str(path), "key": "n"}, tmp_path, num_samples_per_prompt=1))
    path.unlink()
    assert dataset.generate([SimulatedProvider("m")]).report.written == 20


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_what_takes_its_time_is_shown_on_a_terminal_and_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("datafast.sources.progress._AFTER_S", 0.0)
    monkeypatch.setattr("datafast.sources.progress._EVERY_S", 0.0)
    content = jsonl(ROWS * 40)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    shown = _Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    opened(tmp_path / name)
    assert f"reading   {tmp_path / name}: 768 rows" in shown.getvalue()
    assert (" MiB" in shown.getvalue()) == name.endswith("gz")
    assert shown.getvalue().endswith("\r\x1b[K")


def test_nothing_is_shown_where_there_is_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("datafast.sources.progress._AFTER_S", 0.0)
    (tmp_path / "rows.jsonl").write_bytes(jsonl(ROWS * 40))
    opened(tmp_path / "rows.jsonl")
    assert capsys.readouterr() == ("", "")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
FLAT = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
JSON = st.recursive(
    FLAT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.sampled_from(["a", "b", "ü c"]), JSON, min_size=1), min_size=1, max_size=6),
    st.booleans(),
)
def test_rows_of_json_files_are_what_the_json_module_reads(rows: list[dict[str, Any]], ascii_only: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
        (folder / "a.jsonl").write_text("\n\n".join(lines), encoding="utf-8", newline="")
        (folder / "a.json").write_text(json.dumps(rows, ensure_ascii=ascii_only, indent=1), encoding="utf-8")
        (folder / "a.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
        for ending in ("jsonl", "json", "jsonl.gz"):
            assert list(opened(folder / f"a.{ending}")) == [json.loads(line) for line in lines]
