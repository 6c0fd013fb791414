"""What a sender sees of the node: dcmtk's own programs, and pynetdicom for what they cannot be made to do."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid
from pynetdicom import AE, build_context

from tests.dicom.conftest import CALLED, CALLING, Node
from tests.dicom.peers import needs_peers
from tests.factories import dicom
from tests.waiting import PATIENCE
from xrayportal.dicom.models import Caller, Destination, Listener, OriginalIdentifiers, StudyReturn
from xrayportal.dicom.node import server
from xrayportal.dicom.transport.c_store import c_store
from xrayportal.dicom.transport.errors import SendingError
from xrayportal.embedded.processes import wait_until
from xrayportal.intake import ingest
from xrayportal.studies.models import Image, Study, Submission, Upload

pytestmark = needs_peers
CR, CT, MPEG2 = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.4.100"


def command(node: Node, name: str, *arguments: object, calling: str = CALLING, called: str = CALLED) -> int:
    """Run one of dcmtk's programs against the node; its exit status, 0 for success."""
    titles = ["-aet", calling, "-aec", called]
    done = subprocess.run(
        [name, *titles, "127.0.0.1", str(node.port), *map(str, arguments)], capture_output=True, check=False
    )
    return done.returncode


def written(folder: Path, *files: bytes) -> list[Path]:
    paths = [folder / f"{number}.dcm" for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    return paths


def sent(node: Node, data: bytes, **changes: Any) -> Dataset:
    """Send one object and return the whole answer."""
    dataset = dcmread(BytesIO(data))
    ae = AE(ae_title=CALLING)
    ae.requested_contexts = [build_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)]
    association = ae.associate("127.0.0.1", node.port, ae_title=CALLED)
    assert association.is_established
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    answer = association.send_c_store(dataset)
    association.release()
    return answer


def test_echo(node: Node) -> None:
    assert command(node, "echoscu") == 0


def test_a_study_arrives_as_one_study_of_one_submission(node: Node, tmp_path: Path) -> None:
    study = generate_uid()
    files = written(tmp_path, *(dicom(shade=shade, study_uid=study) for shade in (700, 800, 900)))
    assert command(node, "storescu", *files) == 0
    assert command(node, "storescu", *files) == 0  # again, because the answer was lost
    assert Study.objects.get().images.count() == Image.objects.count() == 3
    submission = Submission.objects.get()
    assert (submission.source, submission.sender, submission.submitter) == ("dicom", CALLING, None)
    assert Upload.objects.count() == 3
    assert OriginalIdentifiers.objects.count() == 3
    assert StudyReturn.objects.get().study == Study.objects.get()


@pytest.mark.parametrize(
    ("calling", "called"), [("STRANGER", CALLED), (CALLING, "NOBODY"), ("", ""), ("PACS2", "PORTAL2")]
)
def test_strangers_are_rejected(node: Node, calling: str, called: str, tmp_path: Path) -> None:
    assert command(node, "echoscu", calling=calling, called=called) != 0
    assert command(node, "storescu", *written(tmp_path, dicom()), calling=calling, called=called) != 0
    assert not Upload.objects.exists()


def test_who_cannot_be_looked_up_is_rejected(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def admit(**facts: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(server, "admit", admit)
    assert command(node, "echoscu") != 0


def test_a_rejected_association_says_why(node: Node) -> None:
    Caller.objects.update(network="10.0.0.0/8")

    def reason(called: str) -> int:
        ae = AE(ae_title=CALLING)
        ae.add_requested_context(CR)
        association = ae.associate("127.0.0.1", node.port, ae_title=called)
        assert association.is_rejected
        return int(association.acceptor.primitive.diagnostic)

    assert reason("NOBODY") == 0x07  # called AE title not recognised
    assert reason(CALLED) == 0x03  # calling AE title not recognised: the title is known, its address is not


def test_a_title_for_tls_only_is_unknown_without(node: Node) -> None:
    Listener.objects.update(requires_tls=True)
    assert command(node, "echoscu") != 0


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (dicom(Modality="CT"), 0xA900),
        (dicom(NumberOfFrames=2), 0xC010),
        (dicom(rows=60_000, columns=60_000, pixels=b"\0" * 10), 0xC012),
        (dicom(without=("PixelData",)), 0xC000),
        (dicom(pixels=b"\0" * 10), 0xC000),
        (dicom(), 0x0000),
    ],
)
def test_each_outcome_has_its_status(node: Node, data: bytes, status: int) -> None:
    answer = sent(node, data)
    assert answer.Status == status
    assert ("ErrorComment" in answer) is (status != 0)
    assert Image.objects.count() == (status == 0)


def test_a_file_that_is_too_large_is_told(node: Node, settings: Any) -> None:
    settings.UPLOAD_MAX_BYTES = 1000
    assert sent(node, dicom(rows=64, columns=64)).Status == 0xC012


def test_classes_and_encodings_are_negotiated(node: Node) -> None:
    ae = AE(ae_title=CALLING)
    ae.requested_contexts = [
        build_context(CR, JPEG2000Lossless),
        build_context(CR, MPEG2),
        build_context(CT, ExplicitVRLittleEndian),
    ]
    association = ae.associate("127.0.0.1", node.port, ae_title=CALLED)
    assert [context.transfer_syntax for context in association.accepted_contexts] == [[JPEG2000Lossless]]
    # 3: abstract syntax not supported; 4: transfer syntaxes not supported
    assert [context.result for context in association.rejected_contexts] == [4, 3]
    association.release()


def test_full_storage_is_told_and_nothing_is_half_stored(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "write_durably", full)
        assert sent(node, dicom()).Status == 0xA700
    assert not Study.objects.exists()
    assert not Upload.objects.exists()
    assert not OriginalIdentifiers.objects.exists()
    assert sent(node, dicom()).Status == 0x0000


def test_a_limit_is_told_apart_from_full_storage(node: Node, settings: Any) -> None:
    settings.QUOTA_CLINIC_FILES_A_DAY = 1
    assert sent(node, dicom()).Status == 0x0000
    refused = sent(node, dicom(shade=900))
    assert (refused.Status, refused.ErrorComment) == (
        0xA701,
        "A limit on files is reached; send it again later",
    )
    assert Image.objects.count() == 1


def test_a_destination_that_takes_none_of_the_classes_is_told_apart(node: Node, settings: Any) -> None:
    """The node is the destination here: it takes images, no reports."""
    settings.DICOM_DESTINATION_NETWORKS = ["127.0.0.0/8"]
    destination = Destination(
        clinic=node.clinic, ae_title=CALLED, calling_ae_title=CALLING, host="127.0.0.1", port=node.port
    )
    report = Dataset()
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    for where, kind in (
        ({}, "class-refused"),
        ({"ae_title": "NOBODY"}, "called-unknown"),
        ({"host": "no.such.invalid"}, "host-unknown"),
    ):
        for name, value in where.items():
            setattr(destination, name, value)
        with pytest.raises(SendingError, match=kind):
            c_store(destination, [report])


def test_a_dropped_association_stores_nothing(node: Node) -> None:
    """The peer goes away in the middle of an object's pixels."""
    dataset = dcmread(BytesIO(dicom(rows=1000, columns=1000)))
    ae = AE(ae_title=CALLING)
    ae.maximum_pdu_size = 16_384
    ae.requested_contexts = [build_context(CR, ExplicitVRLittleEndian)]
    association = ae.associate("127.0.0.1", node.port, ae_title=CALLED)
    raw = association.dul.socket.socket
    assert isinstance(raw, socket.socket)
    send, left = raw.send, 100_000

    class Cut:
        """A socket that is cut after so many bytes."""

        def send(self, data: bytes) -> int:
            nonlocal left
            left -= len(data)
            if left < 0:
                raw.shutdown(socket.SHUT_RDWR)
                raise OSError
            return send(data)

        def __getattr__(self, name: str) -> Any:
            return getattr(raw, name)

    association.dul.socket.socket = Cut()
    sending = threading.Thread(target=lambda: association.send_c_store(dataset))
    sending.start()
    sending.join(PATIENCE)
    association.abort()
    assert wait_until(lambda: not node.receiver.associations, seconds=PATIENCE)
    assert not Upload.objects.exists()
    assert command(node, "echoscu") == 0


def test_a_stranger_announces_four_gigabytes(node: Node) -> None:
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as stranger:
        stranger.sendall(struct.pack(">BBL", 1, 0, 0xFFFFFFF0))
        assert stranger.recv(1) == b"", "nothing is kept ready for what may never come"
    assert command(node, "echoscu") == 0


def test_one_address_has_so_many_connections(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_NEAR", 3)
    node.receiver._ae.acse_timeout = 1
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", node.port), timeout=10))
            for _ in range(6)
        ]
        assert [one.recv(1) for one in silent[3:]] == [b"", b"", b""]
    assert wait_until(lambda: command(node, "echoscu") == 0, seconds=20)


def test_an_endless_command_fills_no_memory(node: Node) -> None:
    ae = AE(ae_title=CALLING)
    ae.add_requested_context(CR)
    association = ae.associate("127.0.0.1", node.port, ae_title=CALLED)
    (accepted,) = node.receiver._ae.active_associations
    piece = b"\1\1" + b"A" * 100_000  # of a command that goes on
    value = struct.pack(">L", len(piece)) + piece
    sender: Any = association.dul.socket
    for _ in range(3):
        sender.send(b"\4\0" + struct.pack(">L", len(value)) + value)
    assert wait_until(lambda: isinstance(kept(accepted), server._Full), seconds=20)
    assert len(kept(accepted).getvalue()) <= 200_000
    association.abort()


def kept(association: Any) -> Any:
    message = association.dimse.message
    return message and message.encoded_command_set
