"""deploy.yaml is read strictly, with the line of each problem; an empty one has all defaults."""

import json

import jsonschema_rs
import pytest
from fakes.rendered_kits import EVERYTHING

from mealkit.deploy.deployment_file import DeploymentFile, deployment_schema, read_deployment_file
from mealkit.errors import MealkitError
from mealkit.kit.document import read_document


@pytest.mark.parametrize("text", ["", "\n", "# a comment\n", "{}"])
def test_an_empty_file_is_valid(text):
    """It has every default."""
    assert read_deployment_file(text.encode(), "deploy.yaml") == DeploymentFile()


def test_every_field_can_be_stated():
    """And the file is valid by the schema for editors."""
    file = read_deployment_file(EVERYTHING.encode(), "deploy.yaml")
    assert (file.name, file.replicas, file.rollout.gate) == ("shop-kit", 3, "candidate")
    validator = jsonschema_rs.validator_for(deployment_schema())
    form = read_document(EVERYTHING, "deploy.yaml")[0].data
    validator.validate(form)
    assert not validator.is_valid({**form, "replicas": -1})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("name: Shop", "name is 'Shop', which is not in the right format"),
        (f"name: {'a' * 41}", "name has 41 characters, expected at most 40"),
        ('name: "a\\n"', "name is"),
        ("replicas: '2'", "replicas is '2', expected a number"),
        ("resources: {memory: 2}", "resources.memory is 2, expected"),
        ("resources: {cpu: 0}", "resources.cpu is 0, expected more than 0"),
        ("weights: {in: disk}", "weights.in is 'disk', expected one of image, image-volume, pvc"),
        (f"labels: {{a: {'b' * 64}}}", "labels.a is"),
        ("labels: {a/b/c: d}", "'a/b/c' is not a valid name in labels"),
        ("ingress: {host: 'a b'}", "ingress.host is 'a b'"),
        ("network: {allow_from: [{cidr: 10.0.0.1/8}]}", "has host bits set"),
        ("network: {allow_from: [{cidr: 10.0.0.0/8, namespace: a}]}", "either cidr, or namespace"),
        ("environment: {MEALKIT_OPS: '{}'}", "MEALKIT_OPS is set by other fields"),
        ("environment: {A: b}\nsecrets: {A: {secret: c, key: d}}", "A is in environment and in"),
        ("state: {in: pvc}\nreplicas: 2", "for one replica"),
        ("ops: {cost: {gpu_hour: 2}}", "ops.cost.gpu_hour is 2, which YAML reads as a number"),
        ("labels: {mealkit.dev/track: candidate}", "is a label that mealkit writes"),
        ("tolerations: [{operator: Equal, value: a}]", "Equal needs the taint's key"),
        ("tolerations: [{key: a, value: b}]", "a value is for operator: Equal"),
        ("keys: {file: ..}", "a value of a Secret cannot have this name"),
        ("publish: {address: 999.1.1.1}", "publish.address"),
        (f"labels: {{{', '.join(f'k{n}: v' for n in range(101))}}}", "labels has 101 items"),
        ("replica: 2", "the field replica does not exist"),
        ("replicas: 1\nreplicas: 2", "'replicas' appears twice"),
        ("a: &a [*a]", ""),
    ],
)
def test_a_wrong_value_is_a_problem_with_its_line(line, message):
    """Whatever is wrong with it, the code is the deployment's, and its owner is the platform's."""
    with pytest.raises(MealkitError) as caught:
        read_deployment_file(f"# first\n{line}\n".encode(), "deploy.yaml")
    problem = caught.value.problems[0]
    assert problem.code == "DEPLOY_FILE_INVALID"
    assert message in problem.message
    assert problem.where.startswith("deploy.yaml:")
    assert "kit.yaml" not in json.dumps(problem.as_json())
