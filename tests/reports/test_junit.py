"""JUnit XML as Jenkins and GitLab read it."""

from xml.etree import ElementTree as ET

import pytest
from fakes.reported import full_report, hostile_report, report
from lxml import etree

from mealkit.reports.junit import junit_of

# What Jenkins accepts (junit-10.xsd of its xunit plugin), as far as mealkit writes it: other
# elements and attributes are refused.
SCHEMA = """
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:simpleType name="seconds">
    <xs:restriction base="xs:string"><xs:pattern value="[0-9]+[.][0-9]{3}"/></xs:restriction>
  </xs:simpleType>
  <xs:complexType name="outcome" mixed="true">
    <xs:attribute name="message" use="required"/><xs:attribute name="type"/>
  </xs:complexType>
  <xs:attributeGroup name="counts">
    <xs:attribute name="name" use="required"/>
    <xs:attribute name="tests" type="xs:nonNegativeInteger" use="required"/>
    <xs:attribute name="failures" type="xs:nonNegativeInteger" use="required"/>
    <xs:attribute name="errors" type="xs:nonNegativeInteger" use="required"/>
    <xs:attribute name="time" type="seconds" use="required"/>
  </xs:attributeGroup>
  <xs:element name="testsuites"><xs:complexType>
    <xs:sequence><xs:element ref="testsuite" minOccurs="0" maxOccurs="unbounded"/></xs:sequence>
    <xs:attributeGroup ref="counts"/>
  </xs:complexType></xs:element>
  <xs:element name="testsuite"><xs:complexType>
    <xs:sequence>
      <xs:element name="properties"><xs:complexType><xs:sequence>
        <xs:element name="property" minOccurs="0" maxOccurs="unbounded"><xs:complexType>
          <xs:attribute name="name" use="required"/><xs:attribute name="value" use="required"/>
        </xs:complexType></xs:element>
      </xs:sequence></xs:complexType></xs:element>
      <xs:element name="testcase" minOccurs="0" maxOccurs="unbounded"><xs:complexType>
        <xs:choice minOccurs="0">
          <xs:element name="failure" type="outcome"/>
          <xs:element name="skipped" type="outcome"/>
          <xs:element name="system-out" type="xs:string"/>
        </xs:choice>
        <xs:attribute name="name" use="required"/>
        <xs:attribute name="classname" use="required"/>
        <xs:attribute name="time" type="seconds"/>
      </xs:complexType></xs:element>
    </xs:sequence>
    <xs:attributeGroup ref="counts"/>
    <xs:attribute name="skipped" type="xs:nonNegativeInteger" use="required"/>
    <xs:attribute name="timestamp" type="xs:dateTime" use="required"/>
  </xs:complexType></xs:element>
</xs:schema>
"""


@pytest.mark.parametrize("made", [report, full_report, hostile_report])
def test_it_is_valid_by_what_jenkins_accepts(made):
    """Whatever rows and answers contain, also characters that XML forbids."""
    schema = etree.XMLSchema(etree.fromstring(SCHEMA))
    schema.assertValid(etree.fromstring(junit_of(made())))


def test_a_failure_has_its_numbers_its_rows_and_its_owner():
    """What holds is passed, what could not be judged is skipped with its reason."""
    root = ET.fromstring(junit_of(full_report()))  # noqa: S314
    assert (root.get("tests"), root.get("failures")) == ("6", "3")
    suites = {suite.get("name"): suite for suite in root}
    claims = suites["sbert-minilm 1.0.0 claims"]
    assert claims.get("skipped") == "1"
    assert claims.get("timestamp") == "2026-09-21T14:13:20"
    found = {case.get("name"): case for case in claims.iter("testcase")}
    failure = found["truncated"].find("failure")
    assert failure.get("type") == "kit-author"
    for line in (
        "claimed: 0.82 (table 3)",
        "allowed: 0.81 to 0.83",
        "measured: 0.7412",
        "off by: 0.0688 below the allowed 0.81",
        "rows: 400, not answered: 3",
        "problem: REQUEST_TOO_LONG (3 times)",
        "row 17: expected 0.2, answered 0.91",
    ):
        assert line in failure.text.splitlines()
    assert found["speed"].find("skipped").get("message").startswith("the claim is about H200")
    assert found["similarity"].find("failure") is None
    case = next(suites["sbert-minilm 1.0.0 cases"].iterfind("testcase[@name='label']/failure"))
    assert 'at /label: expected "positive", answered "negative"' in case.text
