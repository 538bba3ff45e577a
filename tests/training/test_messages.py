"""An organisation's CSV: what can be read is read, what cannot is said with its line."""

import pytest
from typer.testing import CliRunner

from plaza_core.errors import PlazaError
from plaza_training.cli import app
from plaza_training.text.messages import FEWEST, read_messages

GOOD = "".join(f"message {n},{label}\n" for label in ("road", "tax") for n in range(FEWEST))
SWAPPED = "".join(
    f"{label};x;{text}\n" for text, label in (line.split(",") for line in GOOD.splitlines())
)


def written(tmp_path, content, encoding="utf-8"):
    path = tmp_path / "messages.csv"
    path.write_bytes(content.encode(encoding))
    return path


@pytest.mark.parametrize(
    "content",
    [
        f"text,label\n{GOOD}",
        "Label;ignored;TEXT\n" + SWAPPED,
        "text\tlabel\r\n" + GOOD.replace(",", "\t").replace("\n", "\r\n"),
        f"\ufefftext,label\n\n{GOOD}\n",
        f"text,label\n{GOOD}{GOOD}",
    ],
    ids=["commas", "semicolons", "tabs", "mark", "twice"],
)
def test_the_usual_kinds_of_file_are_read(tmp_path, content):
    found = read_messages(written(tmp_path, content))
    assert found.texts == tuple(f"message {n}" for n in range(FEWEST)) * 2
    assert found.labels == ("road",) * FEWEST + ("tax",) * FEWEST


def test_a_message_may_have_lines_and_commas(tmp_path):
    said = f'text,label\n"first line,\nsecond ""line""",road\n{GOOD}'
    assert read_messages(written(tmp_path, said)).texts[0] == 'first line,\nsecond "line"'


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        ("", "csv_columns", "nothing"),
        (f"message,label\n{GOOD}", "csv_columns", "'text' is not among: message, label"),
        (f"text,text,label\n{GOOD}", "csv_columns", "once each"),
        (f"text,label\n{GOOD}only one cell\n", "csv_row", "line 12 .* has 1 cells, not 2"),
        ("text,label\n…,road\n", "csv_row", "line 2 .* without a letter"),
        ("text,label\nhello,\n", "csv_row", "line 2 .* needs a label"),
        (f'text,label\n{GOOD}"open,road\n', "csv_unreadable", "no CSV"),
        ("text,label\n", "csv_labels", "here are 0"),
        (f"text,label\n{GOOD.replace('tax', 'road')}", "csv_labels", "here are 1"),
        (f"text,label\n{GOOD}one more,parks\n", "csv_labels", "'parks' has 1"),
    ],
)
def test_what_is_wrong_is_said_with_its_code_and_line(tmp_path, content, code, says):
    with pytest.raises(PlazaError, match=says) as refusal:
        read_messages(written(tmp_path, content))
    assert refusal.value.code == code
    assert refusal.value.input == "csv"


def test_another_encoding_and_a_missing_file_are_told_apart(tmp_path):
    with pytest.raises(PlazaError) as refusal:
        read_messages(written(tmp_path, f"text,label\nRücktritt,road\n{GOOD}", "latin-1"))
    assert refusal.value.code == "csv_unreadable"
    with pytest.raises(PlazaError) as refusal:
        read_messages(tmp_path / "nothing.csv")
    assert refusal.value.code == "csv_missing"


def test_the_command_says_the_code_and_writes_nothing(tmp_path):
    pytest.importorskip("torch", reason="needs the extra `train`")
    path = written(tmp_path, "words,label\n")
    out = tmp_path / "out"
    run = CliRunner().invoke(app, ["text", "--csv", str(path), "--out", str(out)])
    assert run.exit_code == 1
    assert "csv_columns" in run.output
    assert not out.exists()
    alone = CliRunner().invoke(app, ["text"])
    assert alone.exit_code == 1
    assert "--csv" in alone.output
