"""The receivers on bytes written by hand from the peers' layouts; nothing here comes from rtface's senders."""

from __future__ import annotations

import json
import struct

import pytest

from tests.outputs.receivers import ifacialmocap, openseeface, opentrack

NAN = "000000000000f87f"
POSE = "000000000000f83f00000000000002c00000000000004e40000000000000244000000000000034c00000000000003e40"
"""1.5, -2.25, 60, 10, -20, 30 as little-endian doubles."""


def face(
    euler: tuple[float, float, float] = (180, 0, 90),
    quaternion: tuple[float, float, float, float] = (0.70710678, 0.70710678, 0, 0),
    number: bytes = b"\x07\0\0\0",
) -> bytes:
    """A packet of one face, field by field in the peer's order."""
    return b"".join(
        [
            bytes.fromhex("000000000000f83f"),  # 0: time 1.5
            number,  # 8: id
            struct.pack("<2f", 640, 480),  # 12
            struct.pack("<2f", 0.25, 0.75),  # 20: right eye, left eye
            b"\x01",  # 28: 3D points are there
            struct.pack("<f", 3.0),  # 29: fit error
            struct.pack("<4f", *quaternion),  # 33
            struct.pack("<3f", *euler),  # 49
            struct.pack("<3f", 0.1, 0.2, -5.0),  # 61: up, to the picture's left, minus the distance
            b"".join(struct.pack("<f", point / 100) for point in range(68)),  # 73
            b"".join(struct.pack("<2f", 1000 + point, 2000 + point) for point in range(68)),  # 345
            b"".join(struct.pack("<3f", point, -point, point + 0.5) for point in range(70)),  # 889
            b"".join(struct.pack("<f", 0.01 * feature) for feature in range(14)),  # 1729
        ]
    )


def test_opentrack_reads_six_doubles_in_its_order() -> None:
    assert opentrack.decode(bytes.fromhex(POSE)) == (1.5, -2.25, 60.0, 10.0, -20.0, 30.0)


@pytest.mark.parametrize("datagram", [POSE[:-16], POSE + "00", POSE[:-16] + NAN, ""])
def test_opentrack_refuses_another_size_and_nan(datagram: str) -> None:
    with pytest.raises(ValueError, match=r"bytes|NaN"):
        opentrack.decode(bytes.fromhex(datagram))


def test_openseeface_reads_every_field_where_it_lies() -> None:
    data = face()
    assert len(data) == 1785
    (read,) = openseeface.decode(data)
    assert (read.time, read.id, read.size, read.has_3d, read.fit_error) == (1.5, 7, (640, 480), True, 3.0)
    assert (read.right_eye_open, read.left_eye_open) == (0.25, 0.75)
    assert read.rotation == (0, 0, 0) and read.avatar_position == pytest.approx((0.2, 0.1, -5.0))
    assert read.confidence[[0, 67]] == pytest.approx([0, 0.67])
    assert read.points[[0, 67]].tolist() == [[1000, 2000], [1067, 2067]]
    assert read.points_3d[[0, 69]].tolist() == [[0, 0, 0.5], [69, -69, 69.5]]
    assert read.features["eye_left"] == 0 and read.features["eyebrow_up_down_left"] == pytest.approx(0.03)
    assert read.features["eyebrow_quirk_right"] == pytest.approx(0.07) and read.features[
        "mouth_corner_in_out_right"
    ] == pytest.approx(0.11)
    assert read.features["mouth_open"] == pytest.approx(0.12) and read.features["mouth_wide"] == pytest.approx(0.13)


def test_openseeface_reads_faces_back_to_back_and_drops_what_is_cut() -> None:
    assert [one.id for one in openseeface.decode(face() + face(number=b"\xff\xff\xff\xff"))] == [7, -1]
    for cut in (b"", face()[:-1], face() + b"\0"):
        with pytest.raises(ValueError, match="not faces"):
            openseeface.decode(cut)


def test_openseeface_quarter_turn_to_the_pictures_right_turns_the_avatar_to_its_left() -> None:
    # The matrix takes the model's left, up and nose to away, up and the right, in axes (up, left, to the camera);
    # transposed, as the peer sends it, its quaternion is half of (1, 1, -1, -1).
    (straight,) = openseeface.decode(face())
    (turned,) = openseeface.decode(face(euler=(180, 90, 90), quaternion=(0.5, 0.5, -0.5, -0.5)))
    assert turned.turn_since(straight) == pytest.approx((90, 0, 0), abs=1e-4)
    assert turned.rotation == (0, -90, 0)


def test_openseeface_euler_of_nose_up_and_of_a_clockwise_tilt() -> None:
    (up,) = openseeface.decode(face(euler=(160, 0, 90)))
    (tilted,) = openseeface.decode(face(euler=(-180, 0, 70)))
    assert up.rotation == (20, 0, 0) and tilted.rotation == (0, 0, -20)


def packet(
    between: str = "-", tail: str = "=head#-21.5,6.25,-6.5,-0.03,-0.1,-0.66|rightEye#6,2.5,0.25|leftEye#6,-1.75,-0.25|"
) -> str:
    names = sorted(ifacialmocap.NAMES)
    return "".join(f"{name}{between}{at}|" for at, name in enumerate(names)) + tail


def test_ifacialmocap_reads_the_documented_text() -> None:
    read = ifacialmocap.decode(packet().encode())
    assert (
        len(read.blend_shapes) == 52 and read.blend_shapes["browDown_L"] == 0 and read.blend_shapes["tongueOut"] == 51
    )
    assert read.head_degrees == (-21.5, 6.25, -6.5) and read.head_metres == (-0.03, -0.1, -0.66)
    assert read.right_eye == (6, 2.5, 0.25) and read.left_eye == (6, -1.75, -0.25)
    assert ifacialmocap.decode(packet("&").encode(), "&") == read


@pytest.mark.parametrize(
    "broken",
    [
        packet().replace("jawOpen-", "jawopen-"),
        packet().replace("jawOpen-", "jawOpen--"),
        packet().replace("-51|", "-151|"),
        packet().replace("-51|", "-0.5|"),
        packet()[:-1],
        packet().replace("6.25", "nan"),
        packet().replace("leftEye#6,", "leftEye#"),
        "jawOpen-0|" + packet(),
    ],
)
def test_ifacialmocap_refuses_what_the_page_does_not_show(broken: str) -> None:
    with pytest.raises(ValueError):
        ifacialmocap.decode(broken.encode())


class TestVTubeStudio:
    """Messages as literal JSON of the published API."""

    @pytest.fixture(autouse=True)
    def _open(self) -> None:
        pytest.importorskip("websockets", reason="needs websockets (pip install 'rtface[vts]')")
        from tests.outputs.receivers import vtube_studio

        self.now = 100.0
        self.studio = vtube_studio.VTubeStudio(clock=lambda: self.now)
        self.session = vtube_studio.Session()

    def say(
        self,
        kind: str,
        data: str = "{}",
        head: str = '"apiName":"VTubeStudioPublicAPI","apiVersion":"1.0","requestID":"one"',
    ) -> dict:
        answer = self.studio.answer(f'{{{head},"messageType":"{kind}","data":{data}}}', self.session)
        assert answer["apiName"] == "VTubeStudioPublicAPI" and answer["apiVersion"] == "1.0"
        return answer["data"]

    def login(self, name: str = "My plugin") -> None:
        token = self.say("AuthenticationTokenRequest", json.dumps({"pluginName": name, "pluginDeveloper": "Somebody"}))[
            "authenticationToken"
        ]
        assert len(token) <= 64
        assert self.say(
            "AuthenticationRequest",
            json.dumps({"pluginName": name, "pluginDeveloper": "Somebody", "authenticationToken": token}),
        )["authenticated"]

    def inject(self, values: str, more: str = "") -> dict:
        return self.say("InjectParameterDataRequest", f'{{{more}"parameterValues":{values}}}')

    def test_a_plugin_asks_creates_and_injects(self) -> None:
        assert self.say("APIStateRequest")["currentSessionAuthenticated"] is False
        self.login()
        assert self.say("APIStateRequest")["currentSessionAuthenticated"] is True
        assert self.say(
            "ParameterCreationRequest", '{"parameterName":"MyOwn1","explanation":"x","min":-1,"max":1,"defaultValue":0}'
        ) == {"parameterName": "MyOwn1"}
        assert (
            self.inject(
                '[{"id":"FaceAngleX","value":12.31},{"id":"MyOwn1","weight":0.8,"value":0.7}]', '"faceFound":true,'
            )
            == {}
        )
        assert self.studio.value("FaceAngleX") == 12.31 and self.studio.injections[-1].face_found
        self.now += 1.5
        assert self.studio.value("FaceAngleX") is None, "lost after a second"
        names = {one["name"] for one in self.say("InputParameterListRequest")["defaultParameters"]}
        assert {"FaceAngleX", "MouthOpen", "EyeOpenLeft", "Brows"} <= names

    def test_a_wrong_envelope_is_refused(self) -> None:
        name, version = '"apiName":"VTubeStudioPublicAPI"', '"apiVersion":"1.0"'
        assert self.studio.answer("{", self.session)["data"]["errorID"] == 2
        assert self.studio.answer('{"a":NaN}', self.session)["data"]["errorID"] == 2
        assert self.say("APIStateRequest", head=f'"apiName":"x",{version}')["errorID"] == 3
        assert self.say("APIStateRequest", head=f'{name},"apiVersion":"2.0"')["errorID"] == 4
        assert self.say("APIStateRequest", head=f'{name},{version},"requestID":"{"x" * 65}"')["errorID"] == 5
        assert self.say("", head=f"{name},{version}")["errorID"] == 6
        assert self.say("NoSuchRequest")["errorID"] == 7
        assert self.say("InputParameterListRequest")["errorID"] == 8

    def test_a_plugin_without_leave_is_refused(self) -> None:
        assert (
            self.say("AuthenticationTokenRequest", '{"pluginName":"My","pluginDeveloper":"Somebody"}')["errorID"] == 52
        )
        assert self.say("AuthenticationTokenRequest", '{"pluginName":"My plugin"}')["errorID"] == 53
        self.studio.allow = False
        assert (
            self.say("AuthenticationTokenRequest", '{"pluginName":"My plugin","pluginDeveloper":"Somebody"}')["errorID"]
            == 50
        )
        assert (
            self.say("AuthenticationRequest", '{"pluginName":"My plugin","pluginDeveloper":"Somebody"}')["errorID"]
            == 100
        )
        wrong = self.say(
            "AuthenticationRequest", '{"pluginName":"My plugin","pluginDeveloper":"Somebody","authenticationToken":"x"}'
        )
        assert wrong["authenticated"] is False
        self.studio.allow = True
        self.login()
        self.studio.revoke()
        assert self.inject('[{"id":"FaceAngleX","value":1}]')["errorID"] == 50

    def test_wrong_parameters_and_values_are_refused_whole(self) -> None:
        self.login()
        rest = '"min":0,"max":1,"defaultValue":0'
        assert self.say("ParameterCreationRequest", f'{{"parameterName":"abc",{rest}}}')["errorID"] == 350
        assert self.say("ParameterCreationRequest", f'{{"parameterName":"has_line",{rest}}}')["errorID"] == 350
        assert self.say("ParameterCreationRequest", '{"parameterName":"MyOwn1","min":0,"max":1}')["errorID"] == 351
        assert (
            self.say("ParameterCreationRequest", f'{{"parameterName":"MyOwn1","explanation":"{"x" * 256}",{rest}}}')[
                "errorID"
            ]
            == 353
        )
        assert self.say("ParameterCreationRequest", f'{{"parameterName":"FaceAngleX",{rest}}}')["errorID"] == 354
        assert self.inject("[]")["errorID"] == 450
        assert self.inject('[{"id":"FaceAngleX","value":1000001}]')["errorID"] == 451
        assert self.inject('[{"id":"FaceAngleX","value":"1"}]')["errorID"] == 451
        assert self.inject('[{"id":"FaceAngleX","value":1,"weight":2}]')["errorID"] == 452
        assert self.inject('[{"id":"FaceAngleX","value":1},{"id":"NotThere","value":1}]')["errorID"] == 453
        assert self.inject('[{"id":"FaceAngleX","value":1}]', '"mode":"mix",')["errorID"] == 455
        assert self.studio.injections == []

    def test_only_one_plugin_sets_a_parameter(self) -> None:
        self.login()
        self.inject('[{"id":"FaceAngleX","value":1}]')
        self.login("Another plugin")
        assert self.inject('[{"id":"FaceAngleX","value":2}]')["errorID"] == 454
        assert self.inject('[{"id":"FaceAngleX","value":2}]', '"mode":"add",') == {}
        self.now += 1.5
        assert self.inject('[{"id":"FaceAngleX","value":2}]') == {}
