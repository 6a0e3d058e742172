from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from foveate.errors import SettingsError
from foveate.settings import Settings, make_settings, read_settings_file, settings_template


def test_defaults() -> None:
    settings = make_settings()
    assert settings == Settings()
    assert settings.backbone == "efficientnet-lite0"
    assert settings.resolution == 224
    assert settings.test_share == 0.25
    assert settings.seed == 0
    assert (min(settings.c), max(settings.c)) == (1e-4, 1e2)


def test_every_setting_is_explained() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize(
    ("assignment", "name", "value"),
    [
        ("resolution=448", "resolution", 448),
        (" test_share = 0.5", "test_share", 0.5),
        ("test-share=0.5", "test_share", 0.5),
        ("classifier=logistic", "classifier", "logistic"),
        ('classifier="logistic"', "classifier", "logistic"),
        ("c=[10, 0.1]", "c", (0.1, 10.0)),
        ("c=1", "c", (1.0,)),
        ("c=[1, 1.0]", "c", (1.0,)),
        ("exclude=['a', 'b']", "exclude", ("a", "b")),
        ("exclude=dotted", "exclude", ("dotted",)),
        ("test_list=my list=1.txt", "test_list", "my list=1.txt"),
        ("test_list=", "test_list", None),
    ],
)
def test_an_assignment_is_toml_or_text(assignment: str, name: str, value: object) -> None:
    assert getattr(make_settings(assignments=[assignment]), name) == value


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("resolution=12", "resolution = 12"),
        ("resolution=large", "resolution = 'large'"),
        ("resolution=", "resolution = ''"),
        ("test_share=1", "test_share = 1"),
        ("test_share=nan", "test_share = nan"),
        ("classifier=svn", "svm"),
        ("classifier=true", "classifier = True"),
        ("c=[]", "above 0"),
        ("c=[1, 0]", "above 0"),
        ("c=inf", "finite"),
        ("c=nan", "finite"),
        ("mixup=inf", "mixup = inf: Input should be a finite"),
        ("c=small", "c = 'small'"),
        ("seed=-1", "seed = -1"),
        ("folds=1", "folds = 1"),
        ("near_duplicate_bits=65", "near_duplicate_bits = 65"),
        ("resolution", "key=value"),
    ],
)
def test_a_wrong_value_is_named(assignment: str, says: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(says)):
        make_settings(assignments=[assignment])


def test_an_unknown_setting_lists_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="no setting ‘colour’") as caught:
        make_settings(assignments=["colour=red"])
    assert all(name in str(caught.value) for name in Settings.model_fields)


def test_every_wrong_value_is_named() -> None:
    with pytest.raises(SettingsError, match=r"seed.*folds|folds.*seed"):
        make_settings(assignments=["seed=-1", "folds=0"])


def test_flags_win_over_assignments_and_these_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "foveate.toml").write_text("seed = 1\nfolds = 3\ntrees = 10\nexclude = ['a']\n")
    settings = make_settings(
        tmp_path, ["folds=4", "trees=70", "trees=75"], {"trees": 90, "seed": None}
    )
    assert (settings.seed, settings.folds, settings.trees) == (1, 4, 90)
    assert settings.exclude == ("a",)


def test_a_project_without_a_file_has_the_defaults(tmp_path: Path) -> None:
    assert make_settings(tmp_path) == Settings()


@pytest.mark.parametrize("content", [b"seed = ", b"\xff\xfe", b"seed: 1"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foveate.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=re.escape(str(path))):
        make_settings(tmp_path)


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    (tmp_path / "foveate.toml").mkdir()
    with pytest.raises(SettingsError, match=r"foveate\.toml"):
        make_settings(tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "foveate.toml"
    path.write_bytes(b"\xef\xbb\xbfseed = 7\n")
    assert read_settings_file(path) == {"seed": 7}


def test_the_template_as_it_is_changes_nothing() -> None:
    assert tomllib.loads(settings_template()) == {}


def test_the_template_uncommented_is_the_defaults() -> None:
    text = re.sub(r"(?m)^#(?=\w)", "", settings_template())
    values = tomllib.loads(text)
    assert values.keys() == Settings.model_fields.keys()
    assert Settings.model_validate(values) == Settings()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().seed = 1  # type: ignore[misc]


def test_a_password_is_not_a_setting() -> None:
    assert make_settings(flags={"tracking": "http://host:5000"}).tracking == "http://host:5000"
    with pytest.raises(SettingsError, match="no password goes there"):
        make_settings(flags={"tracking": "https://me:secret@host/x"})
