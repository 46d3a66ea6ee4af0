import json
from contextlib import closing
from pathlib import Path

from lsst.ts.mtmount.tools.load_test.sent_frames import SentFrames


def test_follows_a_file_that_grows(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    path.touch()
    frames = [json.dumps({"topicID": number, "value": number / 3}).encode() for number in range(5)]
    text = b"".join(frame + b"\r\n" for frame in frames)
    with closing(SentFrames(path)) as recording, path.open("ab", buffering=0) as file:
        assert recording.read_new() == []
        found = []
        for index in range(len(text)):
            file.write(text[index : index + 1])
            found += recording.read_new()
        assert found == frames
        file.write(text)
        assert recording.read_new() == frames
        assert recording.read_new() == []
