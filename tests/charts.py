"""Run by the Python that has Helm's library and Kubernetes' schemas: lints a chart, renders and validates it.

python charts.py CHART KUBERNETES... < {"name": values, ...}
prints {"lint": {...}, "rendered": {name: [documents]}, "faults": {name: [...]}} as JSON.
"""

import json
import sys
from typing import Any

import helm_python as helm
import kubernetes_validate
import yaml


def rendered(chart: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    with helm.Chart.load(chart) as loaded:
        loaded.validate_schema(values)
        files = loaded.render(values, name="team", namespace="chat")
    texts = (text for name, text in files.items() if name.endswith(".yaml"))
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def faults(documents: list[dict[str, Any]], version: str) -> list[str]:
    found = []
    for document in documents:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except Exception as wrong:
            found.append(f"{document.get('kind')} {document.get('metadata', {}).get('name')}: {wrong}")
    return found


def main() -> None:
    chart, versions = sys.argv[1], sys.argv[2:]
    told: dict[str, Any] = {"lint": helm.lint(chart), "rendered": {}, "faults": {}}
    for name, values in json.load(sys.stdin).items():
        try:
            told["rendered"][name] = rendered(chart, values)
            told["faults"][name] = [
                fault for version in versions for fault in faults(told["rendered"][name], version)
            ]
        except helm.HelmError as refused:
            told["faults"][name] = [str(refused)]
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
