"""An organisation's CSV: what can be read is read, what cannot is said with its line."""

import pytest
from typer.testing import CliRunner

from plaza_core.errors import PlazaError
from plaza_training.cli import app
from plaza_training.text.messages import FEWEST, read_messages

GOOD = "".join(f"{label} message {n},{label}\n" for label in ("road", "tax") for n in range(FEWEST))
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
        f"text,label\n\n{GOOD},\n , \n\n",
        '"text","label"\n' + GOOD.replace("tax message 0", '"tax message 0"'),
    ],
    ids=["commas", "semicolons", "tabs", "mark", "twice", "empty", "quoted"],
)
def test_the_usual_kinds_of_file_are_read(tmp_path, content):
    found = read_messages(written(tmp_path, content)).examples
    assert found.texts == tuple(f"{s} message {n}" for s in ("road", "tax") for n in range(FEWEST))
    assert found.labels == ("road",) * FEWEST + ("tax",) * FEWEST


def test_a_message_may_have_lines_and_commas(tmp_path):
    said = f'text,label\n"first line,\nsecond ""line""",road\n{GOOD}'
    assert read_messages(written(tmp_path, said)).examples.texts[0] == 'first line,\nsecond "line"'


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        ("", "csv_columns", "nothing"),
        (f"message,label\n{GOOD}", "csv_columns", "'text' is not among: message, label"),
        (f"text,text,label\n{GOOD}", "csv_columns", "once each"),
        (f"text,label\n{GOOD}only one cell\n", "csv_row", "line 12 .* has 1 cells, not 2"),
        ("text,label\nhello,\n", "csv_row", "line 2 .* needs a label"),
        (f'text,label\n{GOOD}"open,road\n', "csv_unreadable", "no CSV"),
        ("text,label\n", "csv_labels", "here are 0"),
        (f"text,label\n{GOOD.replace(',tax', ',road')}", "csv_labels", "here are 1"),
        (f"text,label\n{GOOD}one more,parks\n", "csv_labels", "'parks' has 1"),
    ],
)
def test_what_is_wrong_is_said_with_its_code_and_line(tmp_path, content, code, says):
    with pytest.raises(PlazaError, match=says) as refusal:
        read_messages(written(tmp_path, content))
    assert refusal.value.code == code
    assert refusal.value.input == "csv"


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("utf-16", None), ("utf-16", "utf-16"), ("gb18030", "gb18030"), ("utf-8-sig", "utf-8")],
)
def test_other_encodings_are_known_by_their_mark_or_by_name(tmp_path, encoding, said):
    content = f"text,label\n{GOOD.replace('message', '路灯坏了')}"
    found = read_messages(written(tmp_path, content, encoding), said).examples
    assert found.texts[0] == "road 路灯坏了 0"
    assert len(found) == 2 * FEWEST


def test_a_wrong_encoding_is_said_with_its_line_and_a_missing_file_apart(tmp_path):
    wrong = written(tmp_path, f"text,label\nfine,road\nRücktritt,road\n{GOOD}", "latin-1")
    for encoding, code, where, says in (
        (None, "csv_unreadable", "csv", "line 3 .* --encoding"),
        ("ascii", "csv_unreadable", "csv", "line 3 .* is not ascii"),
        ("klingon", "csv_unreadable", "encoding", "no encoding 'klingon'"),
    ):
        with pytest.raises(PlazaError, match=says) as refusal:
            read_messages(wrong, encoding)
        assert (refusal.value.code, refusal.value.input) == (code, where)
    assert "Rücktritt" in read_messages(wrong, "latin-1").examples.texts
    with pytest.raises(PlazaError) as refusal:
        read_messages(tmp_path / "nothing.csv")
    assert refusal.value.code == "csv_missing"


def test_texts_that_read_alike_are_one_message_with_the_label_most_of_them_have(tmp_path):
    rows = "The lamp!,tax\nthe LAMP,road\n the  lamp ,road\nbin,tax\nBIN.,road\n👍,tax\n…,road\n"
    found = read_messages(written(tmp_path, f"text,label\n{rows}{GOOD}{GOOD}"))
    said = dict(zip(found.examples.texts, found.examples.labels, strict=True))
    assert said["The lamp!"] == "road"
    assert said["bin"] == "tax"
    assert len(said) == 2 + 2 * FEWEST
    assert (found.repeated, found.contradicted, found.wordless) == (1 + 2 * FEWEST, 2, 2)


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
    unit = CliRunner().invoke(app, ["etth1-96-ridge", "--unit", "character"])
    assert (unit.exit_code, "--unit is for the recipe `text`" in unit.output) == (1, True)
    assert CliRunner().invoke(app, ["text", "--csv", "a.csv", "--unit", "sign"]).exit_code == 2
