"""``goodctl serve`` as a process: what it prints, how it ends, what it refuses."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.test_cli import run
from tests.fakes.tiny_classifier import MULTI_LABEL, tiny_classifier_folder
from tests.serving.serving import PATH, asking

SECRET = "a-secret-key"
TEXT = "Words that nobody else may read"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = ("toxicity", "insult", "male")
    return tiny_classifier_folder(tmp_path_factory.mktemp("m") / "tiny", labels, problem_type=MULTI_LABEL)


class Serving:
    """A server in a process of its own."""

    def __init__(self, *arguments: str, key: str | None = None) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **({"GOODCTL_SERVE_KEY": key} if key else {})}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "goodctl", "serve", "perspective", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def until(self, last: str) -> str:
        """Its output up to a line that begins like this."""
        assert self.process.stdout is not None
        read = ""
        for line in self.process.stdout:
            read += line
            if line.startswith(last):
                return read
        raise AssertionError(f"ended with {self.process.wait()}: {read}{self.process.communicate()[1]}")

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Exit code and what it has written to stderr."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


@pytest.fixture
def served(classifier: Path) -> Iterator[list[Serving]]:
    started: list[Serving] = []
    yield started
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()


def test_a_server_from_start_to_end(classifier: Path, served: list[Serving]) -> None:
    served.append(server := Serving("--scorer", f"hf:{classifier}"))
    shown = server.until("watch it")
    url = shown.split()[0]
    assert "TOXICITY, INSULT" in shown
    answer = httpx.post(url + PATH, json=asking(TEXT, "TOXICITY", "INSULT")).json()
    assert 0 < answer["attributeScores"]["INSULT"]["summaryScore"]["value"] < 1
    httpx.post(url + PATH, content=TEXT.encode())
    code, errors = server.end(signal.SIGTERM)
    assert code == 0
    assert "answered 2 requests" in errors
    assert f"--scorer perspective --base-url {url}" in errors
    assert "warning" not in errors
    assert TEXT not in errors
    assert "Traceback" not in errors


def test_json_and_a_key(classifier: Path, served: list[Serving]) -> None:
    served.append(server := Serving("--scorer", f"hf:{classifier}", "--json", "--quiet", key=SECRET))
    said: dict[str, Any] = json.loads(server.until("}"))
    assert said["scorer"]["scorer"] == f"hf:{classifier}"
    assert (said["attributes"], said["key"]) == (["toxicity", "insult"], True)
    assert httpx.post(said["url"] + PATH, json=asking(TEXT)).status_code == 403
    assert httpx.post(said["url"] + PATH, params={"key": SECRET}, json=asking(TEXT)).status_code == 200
    assert SECRET not in json.dumps(said)
    assert server.end(signal.SIGINT) == (0, "")


def test_open_to_others_is_warned_of(classifier: Path, served: list[Serving]) -> None:
    served.append(server := Serving("--scorer", f"hf:{classifier}", "--host", "0.0.0.0"))
    server.until("watch it")
    code, errors = server.end(signal.SIGINT)
    assert code == 0
    assert "warning: other machines can reach this server" in errors
    assert "GOODCTL_SERVE_KEY" in errors


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--scorer", "nosuch"], 2, "no scorer 'nosuch'"),
        (["--scorer", "hf:./nosuch"], 3, "no folder './nosuch'"),
        (["--scorer", "CLASSIFIER", "--attributes", "THREAT"], 2, "no attribute 'threat'"),
        (["--scorer", "CLASSIFIER", "--label-map", "nosuch.json"], 3, "nosuch.json"),
        (["--scorer", "CLASSIFIER", "--port", "70000"], 2, "--port 70000"),
        (["--scorer", "CLASSIFIER", "--queue", "0"], 2, "--queue 0"),
        (["--scorer", "CLASSIFIER", "--port", "TAKEN"], 4, "listens on"),
    ],
)
def test_bad_input_is_refused_with_a_hint(
    classifier: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = {"CLASSIFIER": f"hf:{classifier}", "TAKEN": str(taken.getsockname()[1])}
        typed = [given.get(word, word) for word in arguments]
        more = [] if "--port" in typed else ["--port", "0"]
        shown = run("serve", "perspective", *typed, *more, "--json", cwd=tmp_path, code=code).stdout
    error = json.loads(shown)["error"]
    assert words in error["message"]
    assert error["hint"]
