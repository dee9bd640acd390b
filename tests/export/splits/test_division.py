"""Which rows are in which split: strata, groups, and rows that come later."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from hashlib import blake2b
from itertools import combinations, pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast.errors import ConfigError
from datafast.export.splits import Splitting
from datafast.export.splits.rows import SplitRows
from tests.export.splits.support import Row, divided, where, write

LABELS = st.sampled_from(["a", "b", "c", None])
SHARES = st.sampled_from([(0.8, None), (0.5, 0.25), (0.7, 0.3), (None, 0.2), (0.34, 0.33), (0.05, 0.05)])


def rows_of(values: Iterable[Mapping[str, Any]]) -> list[Row]:
    return [{"uuid": f"u{number}", **value} for number, value in enumerate(values)]


@given(rows=st.lists(st.tuples(LABELS, LABELS), min_size=3, max_size=60), shares=SHARES, shuffle=st.booleans())
def test_every_stratum_is_divided_as_all_rows_are_within_one_row(
    rows: list[tuple[str | None, str | None]], shares: tuple[float | None, float | None], shuffle: bool
) -> None:
    table = rows_of({"label": label, "metadata": {"topic": topic}} for label, topic in rows)
    table[0] |= {"label": "a", "metadata": {"topic": "t"}}
    splitting = Splitting(*shares, shuffle=shuffle, stratify=["label", "topic"])

    uuids, found = divided(table, splitting)

    assert found.assignment.sizes == splitting.sizes(len(table))
    assert sorted(where(uuids)) == sorted(row["uuid"] for row in table)
    stratum = {row["uuid"]: (row["label"], row["metadata"]["topic"]) for row in table}
    counts = Counter(stratum.values())
    for name, members in uuids.items():
        in_split = Counter(stratum[uuid] for uuid in members)
        for value, count in counts.items():
            assert abs(in_split[value] - count * len(members) / len(table)) < 1, (name, value)


@given(
    topics=st.lists(st.integers(0, 8), min_size=3, max_size=60),
    shares=SHARES,
    shuffle=st.booleans(),
    stratify=st.sampled_from([None, "label"]),
)
def test_groups_never_straddle_splits(
    topics: list[int], shares: tuple[float | None, float | None], shuffle: bool, stratify: str | None
) -> None:
    table = rows_of({"metadata": {"topic": topic}, "label": number % 3} for number, topic in enumerate(topics))
    splitting = Splitting(*shares, shuffle=shuffle, group="topic", stratify=stratify)
    if len(set(topics)) < len(splitting.shares):
        with pytest.raises(ConfigError, match=r"group: The [\d,]+ rows are \d groups? by topic, and"):
            divided(table, splitting)
        return

    uuids, found = divided(table, splitting)

    assert sorted(where(uuids)) == sorted(row["uuid"] for row in table)
    assert all(uuids.values())
    topic_of = {row["uuid"]: row["metadata"]["topic"] for row in table}
    for one, other in combinations(uuids.values(), 2):
        assert not {topic_of[uuid] for uuid in one} & {topic_of[uuid] for uuid in other}
    assert bool(found.assignment.notes) >= (found.assignment.sizes != splitting.sizes(len(table)))


@given(sizes=st.lists(st.integers(1, 12), min_size=2, max_size=10), share=st.sampled_from([0.5, 0.8, 0.1]))
def test_the_sizes_of_two_splits_are_as_near_as_whole_groups_allow(sizes: list[int], share: float) -> None:
    table = rows_of({"topic": topic} for topic, size in enumerate(sizes) for _ in range(size))
    splitting = Splitting(share, group="topic")

    uuids, _ = divided(table, splitting)

    wanted = splitting.sizes(len(table))["train"]
    sums = [sum(chosen) for count in range(1, len(sizes)) for chosen in combinations(sizes, count)]
    assert abs(len(uuids["train"]) - wanted) == min(abs(total - wanted) for total in sums)


@given(
    data=st.data(),
    values=st.lists(st.tuples(st.integers(0, 5), LABELS), min_size=6, max_size=40),
    asked=st.sampled_from(
        [
            {"train_size": 0.5},
            {"train_size": 0.5, "validation_size": 0.2, "stratify": "label"},
            {"train_size": 0.5, "group": "topic"},
            {"train_size": 0.5, "group": ["topic", "label"]},
            {"train_size": 0.5, "group": "topic", "stratify": "label"},
            {"train_size": 0.5, "stable": True},
            {"train_size": 0.5, "group": "topic", "stable": True},
            {"train_size": 0.5, "group": ["topic", "label"], "stable": True},
        ]
    ),
)
def test_splits_do_not_depend_on_the_order_of_the_lines(
    data: st.DataObject, values: list[tuple[int, str | None]], asked: dict[str, Any]
) -> None:
    table = rows_of({"topic": topic, "label": label} for topic, label in values)
    table[0]["label"] = "a"
    splitting = Splitting(**asked)
    found: list[object] = []
    for order in (table, data.draw(st.permutations(table))):
        try:
            found.append(divided(order, splitting)[0])
        except ConfigError as error:
            found.append(str(error))
    assert found[0] == found[1]


@given(
    values=st.lists(st.tuples(st.integers(0, 20), LABELS), min_size=30, max_size=90),
    asked=st.sampled_from([{}, {"group": "topic"}, {"group": ["topic", "label"]}]),
    cut=st.integers(25, 29),
)
def test_rows_that_come_later_move_none(
    values: list[tuple[int, str | None]], asked: dict[str, Any], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = rows_of({"topic": topic, "label": label} for topic, label in values)
    table[0]["label"] = "a"
    splitting = Splitting(0.5, stable=True, **asked)
    path = tmp_path_factory.mktemp("stable") / "rows.jsonl"
    try:
        parts = [divided(table[:end], splitting, path=path)[0] for end in (cut, len(table))]
    except ConfigError:
        return  # so few groups that a split is empty
    before, after = map(where, parts)
    assert {uuid: after[uuid] for uuid in before} == before


def chains(rows: Iterable[Mapping[str, Any]], about: Collection[str]) -> list[int]:
    """Takes rows for nearly the same that have the same text, or whose texts another one names in its `joins`."""
    assert not about
    table = list(rows)
    group = list(range(len(table)))
    for number, row in enumerate(table):
        for other, earlier in enumerate(table):
            if earlier["text"] in (row["text"], *row.get("joins", [])):
                old, new = group[other], group[number]
                group = [new if value == old else value for value in group]
    return group


@given(rows=st.integers(2, 40), seed=st.integers(-3, 2**40), share=st.sampled_from([0.5, 0.8, 0.29]))
def test_plain_splits_are_those_of_earlier_versions(rows: int, seed: int, share: float) -> None:
    table = rows_of({} for _ in range(rows))
    uuids, _ = divided(table, Splitting(share, seed=seed))
    ranked = sorted(
        (f"u{number}" for number in range(rows)),
        key=lambda uuid: blake2b(f"{seed}\n{uuid}".encode(), digest_size=8).digest(),
    )
    train = max(1, int(Decimal(str(share)) * rows))
    assert uuids == {"train": ranked[:train], "test": ranked[train:]}


def test_near_duplicates_are_in_one_split() -> None:
    table = rows_of({"text": f"text {number % 12}"} for number in range(60))
    uuids, found = divided(table, Splitting(0.75, group="near_duplicates", find_groups=chains))
    text = {row["uuid"]: row["text"] for row in table}
    assert not {text[uuid] for uuid in uuids["train"]} & {text[uuid] for uuid in uuids["test"]}
    assert found.assignment.sizes == {"train": 45, "test": 15}
    assert found.assignment.notes == []


def test_a_cluster_that_comes_to_join_two_splits_keeps_its_older_rows_and_holds_the_new_ones_out(
    tmp_path: Path,
) -> None:
    splitting = Splitting(0.5, group="near_duplicates", stable=True, find_groups=chains)
    table = rows_of({"text": f"text {number}"} for number in range(20))
    before = where(divided(table, splitting, tmp_path / "rows.jsonl")[0])
    one, other = (next(row for row in table if before[row["uuid"]] == name) for name in ("train", "test"))
    joining = {"uuid": "j", "text": "joining", "joins": [one["text"], other["text"]]}
    follower = {"uuid": "f", "text": other["text"]}
    alone = {"uuid": "a", "text": "alone"}

    for order in ([*table, joining, alone], [alone, joining, *reversed(table)]):
        uuids, found = divided(order, splitting, tmp_path / "rows.jsonl")
        after = where(uuids)
        assert {uuid: after[uuid] for uuid in before} == before
        assert found.assignment.held_out == 1
        assert "j" not in after
        assert found.assignment.notes == [
            "1 row is in no split, because it is in a group with older rows of several splits."
        ]
        assert "a" in after

    found_again = where(divided([*table, follower], splitting, tmp_path / "rows.jsonl")[0])
    assert found_again["f"] == before[other["uuid"]]


def test_rows_of_a_document_and_near_duplicates_of_them_stay_together() -> None:
    table = rows_of({"text": f"t{number}", "metadata": {"document": number // 2}} for number in range(40))
    for one, other in pairwise(range(0, 20, 4)):
        table[one]["joins"] = [table[other]["text"]]  # documents 0, 2, 4, 6 and 8
    uuids, _ = divided(table, Splitting(0.5, group=["metadata.document", "near_duplicates"], find_groups=chains))
    split = where(uuids)
    assert len({split[f"u{number}"] for start in range(0, 20, 4) for number in (start, start + 1)}) == 1


def test_rows_without_a_value_stand_alone() -> None:
    table = rows_of({"source_key": "k" if number < 10 else None} for number in range(40))
    uuids, found = divided(table, Splitting(0.5, group="source_key"))
    assert found.assignment.sizes == {"train": 20, "test": 20}
    assert len({where(uuids)[f"u{number}"] for number in range(10)}) == 1


def test_each_split_gets_a_group_where_there_are_few() -> None:
    table = rows_of({"topic": topic} for topic in [0, 1, *[2] * 9])
    found = divided(table, Splitting(0.6, 0.2, group="topic"))[1].assignment
    assert found.sizes == {"train": 9, "validation": 1, "test": 1}


def test_stable_shares_of_clusters_are_about_what_was_asked_for() -> None:
    table = rows_of({"text": f"text {number // 5}"} for number in range(500))
    splitting = Splitting(0.5, group="near_duplicates", stable=True, find_groups=chains)
    assert 150 < divided(table, splitting)[1].assignment.sizes["train"] < 350


def test_large_and_small_groups_are_in_every_split() -> None:
    sizes = [20] * 20 + [1] * 400
    table = rows_of({"topic": topic} for topic, size in enumerate(sizes) for _ in range(size))
    uuids, found = divided(table, Splitting(0.5, group="topic"))
    topic_of = {row["uuid"]: row["topic"] for row in table}
    large = {name: {topic_of[uuid] for uuid in members if topic_of[uuid] < 20} for name, members in uuids.items()}
    assert found.assignment.sizes == {"train": 400, "test": 400}
    assert {len(topics) for topics in large.values()} == {10}


def test_stable_shares_are_about_what_was_asked_for() -> None:
    table = rows_of({} for _ in range(4000))
    sizes = divided(table, Splitting(0.8, 0.1, stable=True))[1].assignment.sizes
    assert 3100 < sizes["train"] < 3300
    assert 330 < sizes["validation"] < 470


def test_stable_sizes_that_are_far_from_their_shares_are_told() -> None:
    table = rows_of({"topic": 0 if number < 90 else number} for number in range(100))
    splits = [divided(table, Splitting(0.5, seed=seed, group="topic", stable=True))[1].assignment for seed in range(6)]
    assert {len(found.notes) for found in splits if min(found.sizes.values()) < 25} == {1}
    assert splits[0].notes[0].startswith("Stable splits are far from their shares, by chance or because of large")


def test_sizes_that_groups_do_not_allow_are_told() -> None:
    table = rows_of({"topic": number // 7} for number in range(21))
    _, found = divided(table, Splitting(0.8, group="topic"))
    assert found.assignment.notes == [
        "Groups are not divided, so sizes are as near as they allow: train has 14 rows (16 were asked for); test has 7 rows (5 were "
        "asked for)."
    ]


def test_what_one_split_leaves_is_like_what_it_takes() -> None:
    table = rows_of({"topic": size} for size in range(1, 80) for _ in range(size))
    means = []
    for seed in range(20):
        uuids, _ = divided(table, Splitting(0.6, 0.2, seed=seed, group="topic"))
        topic_of = {row["uuid"]: row["topic"] for row in table}
        means.append([fmean({topic_of[uuid] for uuid in members}) for members in uuids.values()])
    for of_split in zip(*means, strict=True):
        assert 34 < fmean(of_split) < 46


def test_a_larger_stable_share_takes_rows_and_gives_none_away() -> None:
    table = rows_of({} for _ in range(300))
    less, more = (set(divided(table, Splitting(share, stable=True))[0]["train"]) for share in (0.7, 0.8))
    assert less < more


@pytest.mark.parametrize("uuid", [{}, {"uuid": ""}, {"uuid": None}])
def test_rows_without_a_uuid_are_known_by_their_lines(tmp_path: Path, uuid: dict[str, Any]) -> None:
    table = [{"text": f"t{number}", **uuid} for number in range(40)]
    texts = []
    for order in (table, table[::-1]):
        found = SplitRows.of(write(tmp_path / "rows.jsonl", order), Splitting(0.5, stable=True))
        texts.append([line.row["text"] for line in found.lines("train")])
    assert texts[0] == texts[1]
    assert 8 < len(texts[0]) < 32


@pytest.mark.parametrize("field", ["topic", "metadata.topic", "metadata.about.0", "about.x.y", "text.topic"])
def test_metadata_is_read_as_an_object_or_as_json_text(field: str) -> None:
    made = [{"topic": f"t{n % 5}", "about.0": n % 5, "about": {"x": {"y": [n % 5]}, "0": n % 5}} for n in range(40)]
    plain = rows_of({"metadata": metadata, "text": metadata} for metadata in made)
    as_text = rows_of({"metadata": json.dumps(metadata), "text": json.dumps(metadata)} for metadata in made)
    splitting = Splitting(0.8, group=field)
    assert divided(plain, splitting)[0] == divided(as_text, splitting)[0]
    assert divided(plain, splitting)[1].assignment.sizes == {"train": 32, "test": 8}


def test_a_stratum_with_fewer_rows_than_splits_is_told() -> None:
    table = rows_of({"label": "often" if number else "once"} for number in range(20))
    uuids, found = divided(table, Splitting(0.8, stratify="label"))
    assert found.assignment.notes == [
        "A stratum has fewer rows than there are splits, and so cannot be in each of them."
    ]
    assert where(uuids)["u0"] == "train"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            {"stratify": "labels"},
            "stratify: No row has a value in 'labels'. Give one of uuid, label, metadata, topic, or a part of one, like metadata.topic.",
        ),
        ({"group": ["label", "metadata.topics"]}, "group: No row has a value in 'metadata.topics'. Give one of"),
        ({"group": "label"}, "group: The 4 rows are 1 group by label, and train and test need one each."),
        ({"stable": True, "seed": 3}, "stable: None of 4 rows is in the split test, because a row's split depends on"),
    ],
)
def test_what_cannot_be_divided_is_refused_by_name(asked: dict[str, Any], told: str) -> None:
    table = rows_of({"label": "x", "metadata": {"topic": "t"}} for _ in range(4))
    with pytest.raises(ConfigError) as caught:
        divided(table, Splitting(0.999 if "stable" in asked else 0.5, **asked))
    assert str(caught.value).startswith(told)
    assert caught.value.key == next(iter(asked))
