"""The report to take away, made while it is sent: CSV, and FHIR R4B as a Bundle of AuditEvents."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone, translation

from xrayportal.access_report.report import AccessReport, Disclosure
from xrayportal.audit.models import Action
from xrayportal.clinics.models import Clinic
from xrayportal.csv_export import csv_lines

COLUMNS = (
    *("at", "person", "person_id", "address", "action", "words", "study", "certain"),
    *("event", "event_hash"),
)
#: Code systems of FHIR and DICOM, and names of our own for what they have no code for.
_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_HL7 = "http://terminology.hl7.org/CodeSystem"
_OURS = "urn:x-ray-portal"
_ACCESSED = {"system": _DICOM, "code": "110103", "display": "DICOM Instances Accessed"}
_EXPORT = {"system": _DICOM, "code": "110106", "display": "Export"}
_SERVER = {"system": f"{_HL7}/security-source-type", "code": "4", "display": "Application Server"}
_PERSON = {"system": f"{_HL7}/audit-entity-type", "code": "1", "display": "Person"}
_OBJECT = {"system": f"{_HL7}/audit-entity-type", "code": "2", "display": "System Object"}
_PATIENT = {"system": f"{_HL7}/object-role", "code": "1", "display": "Patient"}
_REPORT = {"system": f"{_HL7}/object-role", "code": "3", "display": "Report"}


def report_csv(report: AccessReport, *, clinic: Clinic) -> Iterator[str]:
    """The lines of the CSV, newest event first."""
    rows = (_cells(line) for line in report.disclosures(report.events))
    return csv_lines(clinic=clinic.name, zone=ZoneInfo(clinic.time_zone), columns=COLUMNS, rows=rows)


def report_fhir(report: AccessReport, *, clinic: Clinic) -> Iterator[str]:
    """The pieces of the JSON: a Bundle of the type ``collection``, an AuditEvent for each line."""
    return _pieces(report, clinic, translation.get_language())


def _cells(line: Disclosure) -> list[object]:
    event = line.event
    return [
        event.at,
        event.actor_label,
        event.actor_id_text,
        event.address,
        event.action,
        line.words,
        line.study,
        line.is_certain,
        event.number,
        event.hash,
    ]


def _pieces(report: AccessReport, clinic: Clinic, language: str | None) -> Iterator[str]:
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": timezone.now().isoformat(timespec="seconds"),
    }
    with translation.override(language):
        yield json.dumps(bundle)[:-1] + ', "entry": ['
        for place, line in enumerate(report.disclosures(report.events)):
            entry = {
                "fullUrl": uuid.uuid5(clinic.pk, str(line.event.number)).urn,
                "resource": audit_event(line, report, clinic),
            }
            yield ("," if place else "") + "\n" + json.dumps(entry, ensure_ascii=False)
        yield "]}\n"


def audit_event(line: Disclosure, report: AccessReport, clinic: Clinic) -> dict[str, Any]:
    """One line as FHIR R4B's AuditEvent. The chain's number and hash go with it, so that it can be proved."""
    event = line.event
    is_export = event.action in (Action.EXPORTED, Action.RESULT_SENT)
    agent: dict[str, Any] = {"requestor": True, "who": {"display": event.actor_label or "X-Ray Portal"}}
    if event.actor_id_text:
        agent["who"]["identifier"] = {"system": f"{_OURS}:person", "value": event.actor_id_text}
    if event.address:
        agent["network"] = {"address": event.address, "type": "2"}  # an IP address
    return {
        "resourceType": "AuditEvent",
        "id": f"{clinic.pk}.{event.number}",
        "type": _EXPORT if is_export else _ACCESSED,
        "subtype": [{"system": f"{_OURS}:action", "code": event.action, "display": str(line.words)}],
        "action": "C" if event.action in (Action.REVIEW_SAVED, Action.REVIEW_SIGNED) else "R",
        "recorded": event.at.isoformat(),
        "outcome": "0",
        "agent": [agent],
        "source": {
            "site": clinic.name,
            "observer": {"display": f"X-Ray Portal {settings.VERSION}"},
            "type": [_SERVER],
        },
        "entity": [*_patient(report), *_studies(line, report)],
    }


def _patient(report: AccessReport) -> Iterator[dict[str, Any]]:
    if report.patient_reference:
        yield {
            "what": {
                "identifier": {"system": f"{_OURS}:patient-reference", "value": report.patient_reference}
            },
            "type": _PERSON,
            "role": _PATIENT,
        }


def _studies(line: Disclosure, report: AccessReport) -> Iterator[dict[str, Any]]:
    """The study of the event, or for an event about several all that were asked for."""
    details = {
        "certain": "yes" if line.is_certain else "no",
        "prediction shown": "yes" if line.event.detail.get("revealed") else "no",
        "audit event": str(line.event.number),
        "audit hash": line.event.hash,
    }
    for study in [line.study] if line.study else report.studies:
        yield {
            "what": {"identifier": {"system": "urn:ietf:rfc:3986", "value": study.urn}},
            "type": _OBJECT,
            "role": _REPORT,
            "detail": [{"type": name, "valueString": value} for name, value in details.items()],
        }
