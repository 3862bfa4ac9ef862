"""Prints what a JSON document does wrong by a JSON schema: `schema.py DOCUMENT SCHEMA [OTHER SCHEMAS]`."""

import json
import sys

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


document, schema, *others = (load(path) for path in sys.argv[1:])
resources = [Resource.from_contents(each, default_specification=DRAFT202012) for each in [schema, *others]]
# Without a retriever: nothing is ever asked of a network.
registry = Registry().with_resources((resource.id(), resource) for resource in resources if resource.id())
validator = Draft202012Validator(schema, registry=registry, format_checker=FormatChecker())
for error in sorted(validator.iter_errors(document), key=lambda error: error.json_path):
    print(f"{error.json_path}: {error.message}")
