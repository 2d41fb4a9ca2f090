"""Every other form of source: equal data give equal datasets, malformed ones a DataError."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import pickle
import random
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from structure_net.datasets import has_test, load, open_test
from structure_net.datasets.tables import table_source
from structure_net.errors import DataError


@pytest.fixture
def table() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(4)
    return generator.normal(size=(60, 5)).astype(np.float32), np.arange(60) % 3


def _arrays(generator: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "x_train": generator.integers(0, 256, (40, 8, 8), dtype=np.uint8),
        "y_train": np.arange(40) % 4,
        "x_test": generator.integers(0, 256, (12, 8, 8), dtype=np.uint8),
        "y_test": np.arange(12) % 4,
    }


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    return _arrays(np.random.default_rng(6))


def test_npz_npy_and_function_give_one_dataset(
    tmp_path: Path, arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    renamed = {"train_images": arrays["x_train"], "train_labels": arrays["y_train"][:, None]}
    renamed |= {"test_images": arrays["x_test"], "test_labels": arrays["y_test"][:, None]}
    np.savez(tmp_path / "b.npz", **renamed)
    (tmp_path / "npy").mkdir()
    for name, array in arrays.items():
        np.save(tmp_path / "npy" / f"{name}.npy", array)
    np.savez(tmp_path / "own_data_file.npz", **arrays)
    (tmp_path / "own_data.py").write_text(
        "import numpy\n"
        "def both():\n    return dict(numpy.load('own_data_file.npz'))\n"
        "def four():\n    return tuple(both()[n] for n in "
        "('x_train', 'y_train', 'x_test', 'y_test'))\n"
        "def wrong():\n    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    hashes = set()
    for source in ("a.npz", "b.npz", "npy", "own_data:both", "own_data:four"):
        dataset = load(source)
        np.testing.assert_array_equal(dataset.images[:, 0], arrays["x_train"])
        np.testing.assert_array_equal(dataset.labels, arrays["y_train"])
        assert (dataset.shape, dataset.scale, dataset.classes) == ((1, 8, 8), 255, tuple("0123"))
        hashes.add((dataset.train_hash, open_test(dataset).test_hash))
    assert len(hashes) == 1
    assert load("a.npz").name == "a"
    for source in ("own_data:wrong", "own_data:missing", "no_such_module:f"):
        with pytest.raises(DataError):
            load(source)


def test_a_table_in_any_form_gives_one_dataset(
    tmp_path: Path, table: tuple[np.ndarray, np.ndarray]
) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    x, y = table
    rows = [[*map(repr, map(float, line)), str(k)] for line, k in zip(x, y, strict=True)]
    text = "\n".join(",".join(row) for row in rows) + "\n"
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"a,b,c,d,e,kind\n" + text.encode()))
    first = "\n".join(";".join([row[-1], *row[:-1]]) for row in rows)
    (tmp_path / "c.csv").write_text("target;a;b;c;d;e\n" + first)
    np.savez(tmp_path / "d.npz", x=x, y=y)
    np.savez(tmp_path / "e.npz", matrix=np.column_stack([x, y.astype(np.float32)]))
    np.save(tmp_path / "f.npy", np.column_stack([x, y.astype(np.float32)]))
    columns = {name: x[:, k] for k, name in enumerate("abcde")} | {"class": y}
    parquet.write_table(pa.table(columns), tmp_path / "g.parquet")
    hashes = set()
    for file in ("a.csv", "b.csv.gz", "c.csv", "d.npz", "e.npz", "f.npy", "g.parquet"):
        dataset = load(str(tmp_path / file))
        test = open_test(dataset)
        assert (dataset.shape, dataset.scale, len(test.labels)) == ((5,), 1.0, 12), file
        assert dataset.images.dtype == np.float32
        hashes.add((dataset.train_hash, test.test_hash))
    assert len(hashes) == 1
    together = np.concatenate([dataset.images, test.images])
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(x, axis=0))


def test_a_folder_of_tables_has_its_own_test_part(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,b,label\n1,2,cat\n3,4,dog\n5,6,cat\n")
    (tmp_path / "test.csv").write_text("a,b,label\n1,2,dog\n")
    dataset = load(str(tmp_path))
    assert dataset.classes == ("cat", "dog")
    np.testing.assert_array_equal(dataset.labels, [0, 1, 0])
    np.testing.assert_array_equal(open_test(dataset).labels, [1])
    (tmp_path / "test.csv").write_text("a,b,label\n1,2,cow\n")
    with pytest.raises(DataError, match="'cow' does not occur"):
        load(str(tmp_path))


def test_channels_last_images_are_turned(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 7, 3), dtype=np.uint8)
    labels = np.arange(20) % 2
    np.savez(tmp_path / "last.npz", images=images, labels=labels)
    np.savez(tmp_path / "first.npz", images=images.transpose(0, 3, 1, 2), labels=labels)
    last, first = load(str(tmp_path / "last.npz")), load(str(tmp_path / "first.npz"))
    assert last.shape == (3, 6, 7)
    assert last.train_hash == first.train_hash


def test_image_folders_and_parquet_agree(
    tmp_path: Path, arrays: dict[str, np.ndarray], coded_png: Any, parquet_file: Any
) -> None:
    names = ["apple", "bee", "cup", "door"]
    for part in ("train", "test"):
        images, labels = arrays[f"x_{part}"][:, None], arrays[f"y_{part}"]
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = tmp_path / "folders" / part / names[label] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(coded_png(image))
        (tmp_path / "shards" / part).mkdir(parents=True)
        parquet_file(tmp_path / "shards" / part / "0000.parquet", images, labels, "anything")
    folders, shards = load(str(tmp_path / "folders")), load(str(tmp_path / "shards"))
    assert folders.classes == tuple(names)
    assert shards.classes == tuple("0123")
    assert folders.shape == shards.shape == (1, 8, 8)
    np.testing.assert_array_equal(folders.images, shards.images)
    np.testing.assert_array_equal(folders.images[:, 0], arrays["x_train"])
    np.testing.assert_array_equal(folders.labels, shards.labels)
    np.testing.assert_array_equal(open_test(folders).images, open_test(shards).images)
    plain = load(str(tmp_path / "folders" / "train"))
    assert has_test(plain)
    assert len(plain) == 32


def test_parquet_takes_class_names_and_parts_from_the_file(tmp_path: Path, coded_png: Any) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 4), dtype=np.uint8)
    labels = np.arange(20) % 2
    coded = pa.array([{"bytes": coded_png(image), "path": None} for image in images])
    names = {"info": {"features": {"fine_label": {"names": ["no", "yes"]}}}}
    whole = pa.table({"picture": coded, "fine_label": labels, "coarse_label": labels})
    whole = whole.replace_schema_metadata({"huggingface": json.dumps(names)})
    for part, rows in (("train", 12), ("validation", 4), ("test", 4)):
        parquet.write_table(whole.slice(0, rows), tmp_path / f"{part}-00000-of-00001.parquet")
    dataset = load(str(tmp_path))
    assert (dataset.classes, dataset.shape) == (("no", "yes"), (3, 4, 4))
    assert (len(dataset), len(open_test(dataset).labels)) == (16, 4)
    (tmp_path / "test-00000-of-00001.parquet").unlink()
    dataset = load(str(tmp_path))
    assert (len(dataset), len(open_test(dataset).labels)) == (12, 4)
    parquet.write_table(whole, tmp_path / "more.parquet")
    with pytest.raises(DataError, match=r"more\.parquet.*Rename"):
        load(str(tmp_path))
    single = load(str(tmp_path / "more.parquet"))
    assert (len(single), single.name) == (16, "more")


def test_labels_of_any_value_become_sorted_classes(tmp_path: Path) -> None:
    x = np.zeros((12, 2), np.float32)
    np.savez(tmp_path / "a.npz", x=x, y=np.tile([10, -3, 7], 4))
    assert load(str(tmp_path / "a.npz")).classes == ("-3", "7", "10")
    np.savez(tmp_path / "b.npz", x=x, y=np.tile(["b", "a\x1b[31m", "c"], 4))
    assert load(str(tmp_path / "b.npz")).classes == ("a?[31m", "b", "c")


def test_a_changed_source_is_read_anew(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    before = load(str(path))
    arrays["x_train"][0, 0, 0] ^= 1
    np.savez(path, **arrays)
    os.utime(path, ns=(1, 1))
    after = load(str(path))
    assert before.train_hash != after.train_hash
    assert open_test(before).test_hash == open_test(after).test_hash
    assert load(str(path)).directory == after.directory


BAD = {
    "lengths": {"x": np.zeros((5, 2)), "y": np.arange(4) % 2},
    "one class": {"x": np.zeros((5, 2)), "y": np.zeros(5, int)},
    "nan": {"x": np.full((6, 2), np.nan), "y": np.arange(6) % 2},
    "too large": {"x": np.full((6, 2), 1e300), "y": np.arange(6) % 2},
    "empty": {"x": np.zeros((0, 2)), "y": np.zeros(0, int)},
    "no features": {"x": np.zeros((6, 0)), "y": np.arange(6) % 2},
    "complex": {"x": np.zeros((6, 2), complex), "y": np.arange(6) % 2},
    "five axes": {"x": np.zeros((6, 2, 2, 2, 2)), "y": np.arange(6) % 2},
    "vector": {"x": np.zeros(6), "y": np.arange(6) % 2},
    "quantities": {"x": np.zeros((6, 2)), "y": np.arange(6) / 7},
    "labels nan": {"x": np.zeros((6, 2)), "y": np.full(6, np.nan)},
    "one-hot": {"x": np.zeros((6, 2)), "y": np.eye(6)},
    "names": {"a": np.zeros((6, 2)), "b": np.zeros(6)},
    "only test": {"x_test": np.zeros((6, 2)), "y_test": np.arange(6) % 2},
    "scalar": {"x": np.zeros(()), "y": np.zeros(())},
    "layouts": {
        "x_train": np.zeros((6, 2)),
        "y_train": np.arange(6) % 2,
        "x_test": np.zeros((6, 3)),
        "y_test": np.arange(6) % 2,
    },
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_unusable_arrays_are_refused(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "a.npz", **BAD[name])
    with pytest.raises(DataError) as caught:
        load(str(tmp_path / "a.npz"))
    assert "\n" not in str(caught.value)


class _Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def test_object_arrays_are_never_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    hostile = np.empty(4, object)
    hostile[:] = [_Bomb(mark)] * 4
    np.savez(tmp_path / "a.npz", x=hostile, y=np.arange(4) % 2)
    (tmp_path / "npy").mkdir()
    np.save(tmp_path / "npy" / "x.npy", hostile)
    np.save(tmp_path / "npy" / "y.npy", np.arange(4) % 2)
    (tmp_path / "b.npz").write_bytes(pickle.dumps(_Bomb(mark)))
    for source in ("a.npz", "npy", "b.npz"):
        with pytest.raises(DataError):
            load(str(tmp_path / source))
    assert not mark.exists()


def test_an_archive_that_promises_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    head = io.BytesIO()
    facts = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 10)}
    np.lib.format.write_array_header_1_0(head, facts)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", head.getvalue() + bytes(800))
        archive.writestr("y.npy", head.getvalue())
    with pytest.raises(DataError, match="does not agree with its size"):
        load(str(tmp_path / "a.npz"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "a\n",
        "1\n2\n",
        "a,b\n",
        "1,2,0\n1,2\n",
        "1,2,0\n1,x,1\n",
        "1,,0\n2,3,1\n",
        "1,nan,0\n2,3,1\n",
        "1,2,\n2,3,1\n",
        "1,2,0.5\n2,3,0.7\n",
        "1,2,0\n2,3,0\n",
        "\x00,\x00,1\n",
        '"1,2,3\n',
    ],
)
def test_unusable_tables_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError):
        load(str(tmp_path / "a.csv"))


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200), st.sampled_from([".csv", ".csv.gz", ".npz", ".npy", ".parquet"]))
def test_any_bytes_are_data_or_a_data_error(tmp_path: Path, content: bytes, ending: str) -> None:
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"a{ending}"
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        assert len(load(str(path))) > 0


def test_damaged_files_are_data_or_a_data_error(
    tmp_path: Path, arrays: dict[str, np.ndarray], parquet_file: Any
) -> None:
    np.savez(tmp_path / "plain.npz", **arrays)
    np.savez_compressed(tmp_path / "packed.npz", **arrays)
    np.save(tmp_path / "matrix.npy", np.arange(60.0).reshape(20, 3) % 4)
    parquet_file(tmp_path / "coded.parquet", arrays["x_train"][:, None], arrays["y_train"])
    chance = random.Random(11)
    for whole in sorted(tmp_path.glob("*.*")):
        data = whole.read_bytes()
        for attempt in range(60):
            broken = bytearray(data)
            if attempt % 3:
                for _ in range(1 + attempt % 5):
                    limit = len(broken) if attempt % 2 else min(300, len(broken))
                    broken[chance.randrange(limit)] = chance.randrange(256)
            else:
                del broken[chance.randrange(len(broken)) :]
            path = tmp_path / "broken" / f"{attempt}{whole.suffix}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(broken)
            with contextlib.suppress(DataError):
                assert len(load(str(path))) > 0


def test_images_that_do_not_fit_are_refused(tmp_path: Path, coded_png: Any) -> None:
    root = tmp_path / "pictures"
    for name in "ab":
        (root / name).mkdir(parents=True)
        for number in range(3):
            image = np.full((3, 4, 4), number, np.uint8)
            (root / name / f"{number}.png").write_bytes(coded_png(image))
    assert len(load(str(root))) == 4
    odd = root / "b" / "9.png"
    for content, message in (
        (coded_png(np.zeros((3, 5, 4), np.uint8)), "one size"),
        (b"no image", "not an image"),
        (coded_png(np.zeros((3, 4, 4), np.uint8))[:45], "not an image"),
    ):
        odd.write_bytes(content)
        with pytest.raises(DataError, match=message):
            load(str(root))
    (root / "a" / "0.png").write_bytes(coded_png(np.zeros((1, 4, 4), np.uint8)))
    odd.unlink()
    with pytest.raises(DataError, match="channel"):
        load(str(root))
    (root / "c").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no images"):
        load(str(root))


def test_what_is_not_a_dataset_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    for source, message in (
        ("digit", "did you mean 'digits'"),
        ("", "No dataset"),
        ("a.txt", "known form"),
        ("/dev/null", "known form"),
        ("empty", "no dataset was found"),
        ("x" * 5000, "No dataset"),
        ("nul\0", "No dataset"),
        ("__main__:f", "main"),
    ):
        with pytest.raises(DataError, match=message):
            load(source)


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"")
    for name in ("pyarrow", "pyarrow.types", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataError, match=r"structure-net\[data\]"):
        load(str(tmp_path / "a.parquet"))


def test_compressed_tables_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from structure_net.datasets import tables

    monkeypatch.setattr(tables, "memory_bytes", lambda: 10_000)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"1,2,0\n2,3,1\n" * 5000))
    with pytest.raises(DataError, match="more than can be right"):
        list(table_source(path).train())
