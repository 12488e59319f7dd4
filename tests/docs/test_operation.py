"""The page about operation, and the files to run a courier as a service: they are linted, parsed
and run as far as that goes without a cluster."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from store_fixtures import evidence

from evidence_courier import Courier, Records
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.testing.sandboxes import SprintoSandbox, sandbox_in_thread

ROOT = Path(__file__).parents[2]
FILES = ROOT / "examples" / "run"
PAGE = (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")
SERVED = {"/healthz", "/readyz", "/metrics"}
PLACE = {"EVIDENCE_COURIER_CONFIG", "EVIDENCE_COURIER_DB"}
RUN = app.commands["run"]
GRACE = 10


def parsed(arguments: Sequence[str]) -> dict[str, Any]:
    """The options of a command as click takes them; it fails for one that does not exist."""
    assert arguments[0] == "run"
    return RUN.make_context("run", list(arguments[1:])).params


def test_the_page_has_every_option_and_every_path() -> None:
    options = {one.opts[0] for one in RUN.params if isinstance(one, click.Option)}
    assert {one for one in options if f"`{one}" not in PAGE} == set()
    assert {one for one in SERVED if f"`{one}`" not in PAGE} == set()
    variables = {str(one.envvar) for one in RUN.params if one.envvar}
    assert {one for one in variables if f"`{one}`" not in PAGE} == set()
    shown = {file.name for file in FILES.iterdir()} - {"README.md"}
    assert {one for one in shown if f"examples/run/{one}" not in PAGE} == set()


def unit() -> dict[str, list[str]]:
    text = (FILES / "evidence-courier.service").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def test_the_unit_stops_and_reloads_as_the_command_does() -> None:
    found = unit()
    [start] = found["ExecStart"]
    options = parsed(shlex.split(start)[1:])
    assert (options["watch"], options["grace"]) == (True, GRACE)
    assert int(found["TimeoutStopSec"][0]) > GRACE
    assert found["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert {one.partition("=")[0] for one in found["Environment"]} == PLACE
    assert found["Restart"] == ["always"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    text = (FILES / "evidence-courier.service").read_text(encoding="utf-8")
    copy = tmp_path / "evidence-courier.service"
    copy.write_text(text.replace("/opt/evidence-courier/bin/evidence-courier", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_compose_file_starts_the_command_and_waits_for_it() -> None:
    whole = yaml.safe_load((FILES / "compose.yaml").read_text(encoding="utf-8"))
    assert set(whole) == {"services", "volumes", "secrets"}
    [service] = whole["services"].values()
    assert service["secrets"] == list(whole["secrets"])
    options = parsed(service["command"])
    assert int(service["stop_grace_period"].removesuffix("s")) > GRACE
    assert set(service["environment"]) == PLACE
    [path] = re.findall(r"http://[\d.:]+(/\w+)", service["healthcheck"]["test"][-1])
    assert path in SERVED
    assert options["listen"] in service["healthcheck"]["test"][-1]
    compile(service["healthcheck"]["test"][-1], "compose.yaml", "exec")
    assert {one.split(":")[0] for one in service["volumes"]} == {"./tenants", *whole["volumes"]}
    image = (FILES / "Dockerfile").read_text(encoding="utf-8")
    assert json.loads(re.findall(r"ENTRYPOINT (.*)", image)[0]) == ["evidence-courier"]
    [extras] = re.findall(r"evidence-courier\[([\w,]+)\]", image)
    declared = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    assert all(re.search(rf"^{extra} =$", declared, re.MULTILINE) for extra in extras.split(","))


def test_the_manifest_probes_what_is_served() -> None:
    text = (FILES / "kubernetes.yaml").read_text(encoding="utf-8")
    deployment, claim = yaml.safe_load_all(text)
    assert (deployment["apiVersion"], deployment["kind"]) == ("apps/v1", "Deployment")
    assert (claim["apiVersion"], claim["kind"]) == ("v1", "PersistentVolumeClaim")
    spec = deployment["spec"]
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    pod = spec["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > GRACE
    [container] = pod["containers"]
    options = parsed(container["args"])
    [port] = container["ports"]
    assert options["listen"] == f"0.0.0.0:{port['containerPort']}"
    probed = [container[f"{kind}Probe"]["httpGet"] for kind in ("liveness", "readiness")]
    assert [one["path"] for one in probed] == ["/healthz", "/readyz"]
    assert {one["port"] for one in probed} == {port["name"]}
    assert {one["name"] for one in container["env"]} == PLACE
    mounted = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert mounted.keys() == volumes.keys()
    assert volumes["courier"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert mounted["keys"].startswith("/run/secrets/")
    writable = {one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")}
    place = {one["name"]: one["value"] for one in container["env"]}
    assert {os.path.dirname(place["EVIDENCE_COURIER_DB"])} == writable
    assert place["EVIDENCE_COURIER_CONFIG"] == mounted["tenants"]


def test_each_field_of_the_manifest_is_one_of_kubernetes_and_of_its_type() -> None:
    for one in yaml.safe_load_all((FILES / "kubernetes.yaml").read_text(encoding="utf-8")):
        assert list(faults(one, KINDS[one["kind"]], one["kind"])) == []
    wrong = {"kind": "PersistentVolumeClaim", "spec": {"accessModes": "ReadWriteOnce", "x": 1}}
    assert list(faults(wrong, KINDS["PersistentVolumeClaim"], "claim")) == [
        "claim.spec.accessModes: str",
        "claim.spec.x: unknown",
    ]


def faults(value: Any, shape: Any, path: str) -> Iterator[str]:
    """What is not in the API's reference, or is of another type there."""
    if isinstance(shape, dict) and isinstance(value, dict):
        for key, below in value.items():
            if (known := shape.get(key, shape.get("*"))) is None:
                yield f"{path}.{key}: unknown"
            else:
                yield from faults(below, known, f"{path}.{key}")
    elif isinstance(shape, list) and isinstance(value, list):
        for number, member in enumerate(value):
            yield from faults(member, shape[0], f"{path}[{number}]")
    elif isinstance(shape, dict | list) or type(value) is not shape:
        yield f"{path}: {type(value).__name__}"


NAMED = {"name": str, "labels": {"*": str}, "annotations": {"*": str}}
PROBE = {
    "httpGet": {"path": str, "port": str},
    **dict.fromkeys(("periodSeconds", "timeoutSeconds", "failureThreshold"), int),
}
RESOURCES = {"requests": {"*": str}, "limits": {"*": str}}
CONTAINER = {
    "name": str,
    "image": str,
    "args": [str],
    "env": [{"name": str, "value": str}],
    "ports": [{"name": str, "containerPort": int}],
    "livenessProbe": PROBE,
    "readinessProbe": PROBE,
    "resources": RESOURCES,
    "securityContext": {
        "readOnlyRootFilesystem": bool,
        "allowPrivilegeEscalation": bool,
        "capabilities": {"drop": [str]},
    },
    "volumeMounts": [{"name": str, "mountPath": str, "readOnly": bool}],
}
POD = {
    "terminationGracePeriodSeconds": int,
    "automountServiceAccountToken": bool,
    "securityContext": {
        "runAsNonRoot": bool,
        **dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), int),
        "seccompProfile": {"type": str},
    },
    "containers": [CONTAINER],
    "volumes": [
        {
            "name": str,
            "configMap": {"name": str},
            "secret": {"secretName": str, "defaultMode": int},
            "persistentVolumeClaim": {"claimName": str},
        }
    ],
}
KINDS: dict[str, Any] = {
    "Deployment": {
        "apiVersion": str,
        "kind": str,
        "metadata": NAMED,
        "spec": {
            "replicas": int,
            "strategy": {"type": str},
            "selector": {"matchLabels": {"*": str}},
            "template": {"metadata": NAMED, "spec": POD},
        },
    },
    "PersistentVolumeClaim": {
        "apiVersion": str,
        "kind": str,
        "metadata": NAMED,
        "spec": {"accessModes": [str], "resources": RESOURCES},
    },
}
"""The fields of Kubernetes' API that the manifest has, by its reference."""


def test_the_compose_file_keeps_to_the_schema_of_compose() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*check, str(FILES / "compose.yaml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_what_the_manifest_starts_needs_no_home_and_writes_to_its_volume(
    tmp_path: Path,
) -> None:
    """The whole environment is the manifest's, and each of its folders is below `tmp_path`."""
    deployment, _ = yaml.safe_load_all((FILES / "kubernetes.yaml").read_text(encoding="utf-8"))
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    for mount in container["volumeMounts"]:
        (tmp_path / mount["mountPath"].lstrip("/")).mkdir(parents=True)
    keys = tmp_path / "run/secrets/tenants"
    (keys / "acme_api_key").write_text("k3y")
    key = f"${{file:{keys}/acme_api_key}}"
    tenant = f"provider: sprinto, workflow_check: c, api_key: '{key}'"
    config = tmp_path / "etc/evidence-courier/tenants/acme.yaml"
    config.write_text(f"integrations: {{compliance: {{{tenant}}}}}\n")
    environment = {one["name"]: f"{tmp_path}{one['value']}" for one in container["env"]}
    arguments = [one.replace("0.0.0.0:9464", "127.0.0.1:0") for one in container["args"]]
    arguments += ["--secret-folder", str(tmp_path / "run/secrets")]
    path = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONSAFEPATH": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "evidence_courier", *arguments],
        cwd="/",
        env=environment | path | {"PYTHONDONTWRITEBYTECODE": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = []
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(json.loads(line)["message"])
        if lines[-1].startswith("started on"):
            break
    process.terminate()
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 0, (lines, rest)
    made = {one for one in tmp_path.rglob("*") if one.is_file()} - {keys / "acme_api_key", config}
    assert made == {tmp_path / "var/lib/evidence-courier/courier.db"}


def test_the_lines_for_cron_deliver_and_tell(tmp_path: Path) -> None:
    """The lines themselves are run, with other folders."""
    text = (FILES / "crontab").read_text(encoding="utf-8")
    for folder in ("/etc", "/var/lib", "/opt", "/var/log"):
        (tmp_path / folder[1:]).mkdir(parents=True)
        text = re.sub(rf"(?<![\w/]){folder}/", f"{tmp_path}{folder}/", text)
    etc, lib = tmp_path / "etc/evidence-courier", tmp_path / "var/lib/evidence-courier"
    (etc / "tenants").mkdir(parents=True)
    lib.mkdir()
    command = tmp_path / "opt/evidence-courier/bin/evidence-courier"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m evidence_courier "$@"\n')
    command.chmod(0o755)
    (etc / "environment").write_text("ACME_KEY=the-key\n")
    with sandbox_in_thread(SprintoSandbox(key="the-key")) as sandbox:
        (etc / "tenants/acme.yaml").write_text(
            "integrations: {compliance: {provider: sprinto, api_key: '${ACME_KEY}', "
            "workflow_check: 3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77, "
            f"endpoint: '{sandbox.url}'}}}}\n"
        )
        os.environ["ACME_KEY"] = "the-key"
        try:
            with Courier.from_config(
                etc / "tenants", lib / "courier.db", background=False
            ) as courier:
                courier.submit(evidence("ev-1")).recorded()
        finally:
            del os.environ["ACME_KEY"]
        settings = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
        jobs = re.findall(r"^(?:[\d*/]+ ){5}(.*)$", text, re.MULTILINE)
        assert len(jobs) == 2
        outside = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        for job in jobs:
            done = subprocess.run(
                [settings["SHELL"], "-c", job],
                env={**outside, **settings},
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), job
    with Records.open(lib / "courier.db") as records:
        assert records.counts()["succeeded"] == 1
    log = (tmp_path / "var/log/evidence-courier.log").read_text(encoding="utf-8")
    assert "all is settled or held" in log and "the-key" not in log
