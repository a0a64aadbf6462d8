"""What is in deploy/ and the Dockerfile, against the schemas of the systems that will read them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[3]
KUBERNETES = sorted((ROOT / "deploy" / "kubernetes").rglob("*.yaml"))
# The oldest version with native sidecars on by default, and a recent one.
VERSIONS = ("1.29", "1.33")


def objects() -> list[Any]:
    """Every Kubernetes object in deploy/kubernetes, with an id that names file and kind."""
    found = []
    for path in KUBERNETES:
        for document in yaml.safe_load_all(path.read_text()):
            kind = document.get("kind") if isinstance(document, dict) else None
            if kind and kind != "Kustomization":
                found.append(pytest.param(document, id=f"{path.relative_to(ROOT)}:{kind}"))
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", objects())
def test_manifest_is_valid_kubernetes(manifest: dict[str, Any], version: str) -> None:
    """Every object validates strictly: an unknown or misplaced field fails."""
    kubernetes_validate.validate(manifest, version, strict=True)


def test_manifest_with_a_misplaced_field_is_refused() -> None:
    """The check above can fail: a probe on the pod instead of the container is noticed."""
    [deployment] = [param.values[0] for param in objects() if param.values[0]["kind"] == "Deployment"]
    broken = {**deployment, "spec": {**deployment["spec"], "startupProbe": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def sidecar() -> dict[str, Any]:
    """The collector's container in the sidecar example."""
    [deployment] = [param.values[0] for param in objects() if param.values[0]["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["initContainers"]
    return dict(container)


def test_sidecar_is_native_and_has_the_probes_that_a_sidecar_needs() -> None:
    """A restartable init container with startup and liveness probes, no readiness probe, no preStop hook."""
    container = sidecar()
    assert container["restartPolicy"] == "Always"
    assert {"startupProbe", "livenessProbe"} <= container.keys()
    assert not {"readinessProbe", "lifecycle"} & container.keys()


def test_sidecar_runs_unprivileged_on_a_read_only_root() -> None:
    """Nothing the container does needs root, capabilities or a writable image."""
    security = sidecar()["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}


def test_dockerfile_passes_hadolint() -> None:
    """The linter has no complaint."""
    hadolint = Path(sys.executable).with_name("hadolint")
    result = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


def test_dockerfile_ends_as_an_unprivileged_user() -> None:
    """The last USER is a number that is not root's, so that runAsNonRoot can be checked by the kubelet."""
    users = [
        line.split()[1] for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("USER")
    ]
    assert users[-1] == "65532:65532"


def test_compose_file_is_valid() -> None:
    """It follows the Compose specification's schema."""
    check = Path(sys.executable).with_name("check-jsonschema")
    command = [str(check), "--builtin-schema", "vendor.compose-spec", str(ROOT / "deploy" / "compose.yaml")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
