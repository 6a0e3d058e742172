"""Shards: every file once, about equal bytes, and as little as possible done again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from foveate.catalog import Entry
from foveate.files import FileEntry
from foveate.spark.jobs import plan
from foveate.spark.jobs.plan import plan_shards, read_plan, read_shard, write_plan

SIZES = st.lists(st.integers(-1, 3 * 2**20), min_size=1, max_size=200)


def entries_of(sizes: list[int]) -> list[Entry]:
    return [
        Entry(FileEntry(f"/data/{n}.png", f"{n}.png", size, f"{size}-{n}"), f"label {n % 3}", None)
        for n, size in enumerate(sizes)
    ]


@given(SIZES, st.integers(1, 64))
def test_every_file_is_in_one_shard_in_order(sizes: list[int], cores: int) -> None:
    entries = entries_of(sizes)
    shards = plan_shards(entries, key="k", cores=cores)
    assert [entry for shard in shards for entry in shard.entries] == entries
    assert all(shard.entries for shard in shards)
    assert len({shard.id for shard in shards}) == len(shards)


@given(SIZES, st.integers(1, 64))
def test_shards_are_of_equal_bytes(sizes: list[int], cores: int) -> None:
    shards = plan_shards(entries_of(sizes), key="k", cores=cores)
    weights = [
        sum(max(entry.file.size, plan.BYTES_OF_SMALL_FILE) for entry in shard.entries)
        for shard in shards
    ]
    # No two differ by more than a file, but for the last, which is what is left.
    largest = max(max(sizes), plan.BYTES_OF_SMALL_FILE)
    assert all(abs(a - b) <= largest for a in weights[:-1] for b in weights[:-1])
    assert weights[-1] <= max(weights)


@given(SIZES, st.data())
def test_what_is_done_is_not_done_again(sizes: list[int], data: st.DataObject) -> None:
    entries = entries_of(sizes)
    earlier = plan_shards(entries, key="k", cores=8)
    changed = data.draw(st.sets(st.integers(0, len(sizes) - 1), max_size=5))
    gone = data.draw(st.sets(st.integers(0, len(sizes) - 1), max_size=3))
    now = [
        replace(entry, file=replace(entry.file, stamp="new")) if n in changed else entry
        for n, entry in enumerate(entries)
        if n not in gone
    ]
    new = Entry(FileEntry("/data/new.png", "new.png", 9, "9-1"), None, None)
    shards = plan_shards([*now, new], key="k", cores=3, earlier=earlier)
    held = [entry for shard in shards for entry in shard.entries]
    assert sorted(held, key=str) == sorted([*now, new], key=str)
    untouched = {
        shard.id
        for shard in earlier
        if not any(entry in shard.entries for entry in (entries[n] for n in changed | gone))
    }
    assert untouched <= {shard.id for shard in shards}


def test_the_id_stands_for_job_and_files() -> None:
    entries = entries_of([10, 20])
    one = plan_shards(entries, key="k", cores=1)[0].id
    relabelled = [replace(entries[0], label="other"), entries[1]]
    assert one == plan_shards(entries, key="k", cores=1)[0].id
    assert one != plan_shards(entries, key="other model", cores=1)[0].id
    assert one != plan_shards(relabelled, key="k", cores=1)[0].id


@given(st.lists(st.text(), min_size=1, max_size=20, unique=True))
def test_a_plan_is_read_as_it_was_written(tmp_path_factory: object, names: list[str]) -> None:
    entries = [
        Entry(FileEntry(f"/d/{name}", name, n, "s"), name or None, "test" if n % 2 else None)
        for n, name in enumerate(names)
    ]
    shards = [plan.Shard(f"{n:016x}", (entry,)) for n, entry in enumerate(entries)]
    folder = str(tmp_path_factory.mktemp("plan"))  # type: ignore[attr-defined]
    write_plan(folder, shards)
    assert list(read_plan(folder, len(shards))) == shards
    assert read_shard(folder, len(shards) - 1) == shards[-1]


def test_names_that_are_not_unicode(tmp_path: Path) -> None:
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    entry = Entry(FileEntry(f"/d/{name}", name, 1, "s"), None, None)
    shards = plan_shards([entry], key="k", cores=1)
    write_plan(str(tmp_path), shards)
    assert read_shard(str(tmp_path), 0).entries == (entry,)


def test_a_plan_of_many_shards_is_several_files(tmp_path: Path, monkeypatch: object) -> None:
    monkeypatch.setattr(plan, "SHARDS_PER_FILE", 3)  # type: ignore[attr-defined]
    shards = [plan.Shard(f"{n}", (entry,)) for n, entry in enumerate(entries_of([1] * 8))]
    write_plan(str(tmp_path), shards)
    assert len(list(tmp_path.iterdir())) == 3
    assert [read_shard(str(tmp_path), n) for n in range(8)] == shards
    assert list(read_plan(str(tmp_path), 8)) == shards
