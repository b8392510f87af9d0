#!/usr/bin/env bash
# Looks through the Dockerfile and the compose file where no container engine runs: that they can be parsed, that every file
# that they name is there, and that Prometheus takes its configuration.
# Needs: python3:python3 python3-yaml promtool:prometheus
set -euo pipefail
cd "$(dirname "$0")/.."

python3 - <<'PYTHON'
import pathlib, sys, yaml

def missing(what, path):
    sys.exit(f"{what} names {path}, which is not there")

folder = pathlib.Path("packaging/compose")
for path in folder.glob("*.yml"):
    yaml.safe_load(path.read_text())
compose = yaml.safe_load((folder / "compose.yaml").read_text())
services = compose["services"]
for name, service in services.items():
    if not {"image", "build"} & service.keys():
        sys.exit(f"compose.yaml: {name} has neither image nor build")
    for other in service.get("depends_on", {}):
        if other not in services:
            missing(f"compose.yaml: {name}", other)
    for port in service.get("ports", []):
        if not port.startswith("127.0.0.1:"):
            sys.exit(f"compose.yaml: {name} opens {port} to the network")
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith("."):
            if not (folder / source).is_file():
                missing(f"compose.yaml: {name}", source)
        elif source not in compose["volumes"]:
            missing(f"compose.yaml: {name}", source)
build = services["papcast"]["build"]
if not (folder / build["context"] / build["dockerfile"]).is_file():
    missing("compose.yaml", build["dockerfile"])

known = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
lines = pathlib.Path("packaging/Dockerfile").read_text().replace("\\\n", " ").splitlines()
users = []
for line in (line for line in lines if line and not line.startswith("#")):
    words = line.split()
    if words[0] not in known:
        sys.exit(f"Dockerfile: {words[0]} is no instruction that is used here")
    if words[0] == "COPY" and not words[1].startswith("--"):
        for source in words[1:-1]:
            if not pathlib.Path(source).exists():
                missing("Dockerfile", source)
    if words[0] == "USER":
        users.append(words[1])
if users[-1:] in ([], ["root"]):
    sys.exit("Dockerfile: the program would run as root")
PYTHON

# promtool looks for the rules beside the configuration, where the container has them.
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cp packaging/compose/prometheus.yml docs/monitoring/papcast-alerts.yml "$folder"
promtool check config "$folder/prometheus.yml" >/dev/null

if docker compose version >/dev/null 2>&1; then
    docker compose -f packaging/compose/compose.yaml config --quiet
else
    echo "docker compose is not there: the compose file was parsed, and what it names is there"
fi
echo "Dockerfile and compose.yaml look good; no image was built"
