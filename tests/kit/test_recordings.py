"""Recordings: written from a real server without what is secret, and replayed to the letter."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from connector.kit.record import Scrubber, main, record
from connector.kit.replay import RecordedRequest, Recording, Replay
from connector.kit.wire import serving
from tests.kit.toy import KEY, Toy, ToySuite, toy_crm


class Replayed(ToySuite):
    """The toy's suite with a folder of recordings in place of a stand-in; driven by hand below."""

    folder: ClassVar[Path]
    settings: ClassVar = {"domain": "acme.toy.example", "api_key": "k-of-the-suite"}

    def standin(self) -> Any:
        return None

    def exchanges_folder(self) -> Path:
        return self.folder


@pytest.fixture
async def suite(tmp_path: Path) -> Replayed:
    """A suite whose recordings were made of the toy's CRM as of a real account."""
    async with serving(toy_crm()) as url:

        class Here(Toy):
            @property
            def root(self) -> str:
                return self.at(f"{url}/v2/")

        class Recorded(Replayed):
            adapter = Here
            folder = tmp_path / "exchanges"

        real = {"domain": "real-customer.toy.example", "api_key": KEY}
        files = await record(Recorded(), real, "sandbox", Recorded.folder)
        assert len(files) > 30
    return Recorded()


async def test_what_was_recorded_is_replayed(suite: Replayed) -> None:
    await suite.test_recordings_are_replayed()


async def test_a_request_that_was_not_recorded_fails(suite: Replayed) -> None:
    (created,) = suite.folder.glob("*-post-v2-tickets.json")
    created.unlink()
    with pytest.raises(AssertionError, match=r"(?s)requests that were not recorded:.*/v2/tickets"):
        await suite.test_recordings_are_replayed()


async def test_a_request_with_other_words_fails(suite: Replayed) -> None:
    (created,) = suite.folder.glob("*-post-v2-tickets.json")
    created.write_text(created.read_text(encoding="utf-8").replace("Missed call", "Lost call"), encoding="utf-8")
    with pytest.raises(AssertionError, match="requests that were not recorded"):
        await suite.test_recordings_are_replayed()


async def test_a_recording_that_is_not_used_fails(suite: Replayed) -> None:
    spare = json.loads(next(iter(sorted(suite.folder.glob("*.json")))).read_text(encoding="utf-8"))
    spare["request"]["path"] = "/v2/statistics"
    (suite.folder / "999-spare.json").write_text(json.dumps(spare), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"recordings that were not used: 999-spare\.json"):
        await suite.test_recordings_are_replayed()


async def test_a_file_that_is_no_recording_is_named(suite: Replayed) -> None:
    (suite.folder / "999-spare.json").write_text('{"request": {}}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"999-spare\.json is no recording"):
        await suite.test_recordings_are_replayed()


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are no recordings"):
        Replay.of(tmp_path)


async def test_neither_recordings_nor_a_stand_in_is_a_failure() -> None:
    class Nothing(Replayed):
        exchanges_folder: ClassVar[Any] = lambda _self: None

    with pytest.raises(pytest.fail.Exception, match="nothing to check against"):
        await Nothing().test_recordings_are_replayed()


async def test_recordings_tell_no_secret(suite: Replayed) -> None:
    for path in suite.folder.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert KEY not in text
        assert "real-customer" not in text
        assert "a@acme.example" not in text
        recording = json.loads(text)
        assert recording["source"] == "sandbox"
        assert recording["recorded"]


def test_recording_wants_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text("{}", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["tests.kit.toy:ToySuite", str(settings), "sandbox"])
    assert ended.value.code == 2
    assert "names no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ({"mobile": "9811122233"}, {"mobile": "+910000000000"}),
        ({"phone": "09876543210"}, {"phone": "09876543210"}),
        ({"note": "call +91 98111 22233 or asha@real.example"}, {"note": "call +910000000000 or person@example.com"}),
        ({"id": 81007555518, "ids": ["81007555518"]}, {"id": 81007555518, "ids": ["81007555518"]}),
        ("the s3cret key", "the SCRUBBED key"),
    ],
)
def test_scrubbing(found: Any, kept: Any) -> None:
    assert Scrubber({"s3cret": "SCRUBBED"}).value(found) == kept


def _recording(path: str, rows: list[int]) -> Recording:
    return Recording.model_validate(
        {
            "recorded": "2025-03-02",
            "source": "https://toy.example/docs",
            "request": {"method": "GET", "path": path, "query": [["a", "1"], ["b", "2"]]},
            "response": {"status": 200, "body": rows},
        }
    )


def test_a_list_that_grows_is_two_recordings() -> None:
    replay = Replay(
        {"2.json": _recording("/list", [1]), "1.json": _recording("/list", []), "3.json": _recording("/x", [])}
    )
    asked = RecordedRequest(method="GET", path="/list", query=[("b", "2"), ("a", "1")])
    answers = [replay.answer(asked) for _ in range(3)]
    assert [answer.body for answer in answers if answer] == [[], [1], [1]]
    assert replay.unused == ["3.json"]


@pytest.mark.parametrize(
    "other",
    [
        {"method": "POST", "path": "/list", "query": [("a", "1"), ("b", "2")]},
        {"method": "GET", "path": "/lists", "query": [("a", "1"), ("b", "2")]},
        {"method": "GET", "path": "/list", "query": [("a", "1")]},
        {"method": "GET", "path": "/list", "query": [("a", "1"), ("b", "2")], "body": {}},
    ],
)
def test_a_request_is_matched_whole(other: dict[str, Any]) -> None:
    assert Replay({"1.json": _recording("/list", [])}).answer(RecordedRequest(**other)) is None
