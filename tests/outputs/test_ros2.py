"""The ROS 2 node, with stand-ins of rclpy and of the messages that its generator makes: rclpy itself is not on PyPI.

The stand-ins check what rosidl's generated Python checks: names, types, ranges and lengths of fields.
"""

from __future__ import annotations

import re
import sys
from array import array as bytes_array
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest

from rtface.errors import UsageError
from rtface.outputs import registry
from rtface.outputs.hri import DEFINITIONS
from rtface.outputs.open import choose
from rtface.outputs.output_url import parse_output_url
from rtface.outputs.ros2 import FORGET_S, Ros2Sink, _class
from rtface.types import Event
from tests.outputs.made import a_face, a_result, a_run
from tests.outputs.receivers import wait_for

#: Of ROS 2's common_interfaces, besides those of hri_msgs.
COMMON = {
    "builtin_interfaces/msg/Time": "int32 sec\nuint32 nanosec\n",
    "std_msgs/msg/Header": "builtin_interfaces/Time stamp\nstring frame_id\n",
    "geometry_msgs/msg/Vector3": "float64 x\nfloat64 y\nfloat64 z\n",
    "geometry_msgs/msg/Quaternion": "float64 x\nfloat64 y\nfloat64 z\nfloat64 w\n",
    "geometry_msgs/msg/Transform": "geometry_msgs/Vector3 translation\ngeometry_msgs/Quaternion rotation\n",
    "geometry_msgs/msg/TransformStamped": (
        "std_msgs/Header header\nstring child_frame_id\ngeometry_msgs/Transform transform\n"
    ),
    "sensor_msgs/msg/Image": (
        "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\n"
        "uint8[] data\n"
    ),
    "tf2_msgs/msg/TFMessage": "geometry_msgs/TransformStamped[] transforms\n",
}
CHECKS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "int32": lambda value: isinstance(value, int) and -(2**31) <= value < 2**31,
    "uint8": lambda value: isinstance(value, int) and 0 <= value < 2**8,
    "uint32": lambda value: isinstance(value, int) and 0 <= value < 2**32,
    "float32": lambda value: isinstance(value, float) and abs(value) < 3.4028235e38,
    "float64": lambda value: isinstance(value, float),
}


class Made:
    """A message of a generated class."""

    fields: ClassVar[dict[str, str]] = {}

    def __init__(self, **given: Any) -> None:
        for name, value in given.items():
            assert name in self.fields, f"{type(self).__name__} has no {name}"
            self.check(name, self.fields[name], value)
            setattr(self, name, value)

    def check(self, name: str, described: str, value: Any) -> None:
        array = re.fullmatch(r"(.+)\[(\d*)\]", described)
        if described == "uint8[]":
            assert isinstance(value, bytes_array) and value.typecode == "B", name
        elif array is not None:
            assert isinstance(value, list) and (not array[2] or len(value) == int(array[2])), name
            for one in value:
                self.check(name, array[1], one)
        elif described in CHECKS:
            assert CHECKS[described](value), f"{name} is {value!r}, not a {described}"
        else:
            assert f"{type(value).__module__}/{type(value).__name__}" == described.replace("/", ".msg/"), name


class Node:
    def __init__(self, name: str) -> None:
        self.name, self.publishers, self.gone = name, {}, []
        self.published: list[tuple[str, Made]] = []

    def create_publisher(self, kind: type, topic: str, depth: int) -> Any:
        assert topic not in self.publishers
        self.publishers[topic] = depth

        def publish(message: Made) -> None:
            assert type(message) is kind
            self.published.append((topic, message))

        return SimpleNamespace(publish=publish, topic=topic)

    def destroy_publisher(self, publisher: Any) -> None:
        del self.publishers[publisher.topic]
        self.gone.append(publisher.topic)

    def destroy_node(self) -> None:
        self.publishers = {}


class Ros:
    """What of rclpy is used."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.contexts: list[Any] = []
        self.fails = False

    def init(self, *, args: list[str], context: Any, signal_handler_options: str) -> None:
        assert args == [] and signal_handler_options == "none"  # or it would read our flags and take Ctrl-C
        if self.fails:
            raise RuntimeError("failed to initialize rcl: no middleware")
        context.up = True

    def context(self) -> Any:
        one = SimpleNamespace(up=False)
        one.try_shutdown = lambda: setattr(one, "up", False)
        self.contexts.append(one)
        return one

    def create_node(self, name: str, *, context: Any, start_parameter_services: bool) -> Node:
        assert context.up and not start_parameter_services
        self.nodes.append(Node(name))
        return self.nodes[-1]


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> Ros:
    _class.cache_clear()
    for kind, text in {**COMMON, **DEFINITIONS}.items():
        package, _, name = kind.partition("/msg/")
        module = sys.modules.get(f"{package}.msg")
        if not isinstance(module, ModuleType) or not hasattr(module, "made_here"):
            module = ModuleType(f"{package}.msg")
            module.made_here = True  # type: ignore[attr-defined]
            monkeypatch.setitem(sys.modules, package, ModuleType(package))
            monkeypatch.setitem(sys.modules, f"{package}.msg", module)
        fields = {field: described for described, field in (line.split() for line in text.splitlines())}
        setattr(module, name, type(name, (Made,), {"fields": fields, "__module__": f"{package}.msg"}))
    one = Ros()
    modules = {
        "rclpy": {"init": one.init, "create_node": one.create_node},
        "rclpy.context": {"Context": one.context},
        "rclpy.signals": {"SignalHandlerOptions": SimpleNamespace(NO="none")},
    }
    for name, attributes in modules.items():
        module = ModuleType(name)
        module.__dict__.update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
    return one


def send(sink: Ros2Sink, *faces: Any, index: int = 0) -> None:
    before = sink.sent + sink.failures
    sink.write(a_result(*faces, index=index))
    wait_for(lambda: sink.sent + sink.failures > before)
    assert not sink.failures


def test_a_face_is_published_as_rep_155_has_it(ros: Ros) -> None:
    with Ros2Sink(parse_output_url("ros2:door?frame_id=head_camera")) as sink:
        sink.open(a_run())
        send(sink, a_face(track_id=7), a_face(track_id=8, pose=None, emotion=None, landmarks=None))
        (node,) = ros.nodes
        assert node.name == "door"
        assert node.publishers == {
            "/humans/faces/tracked": 1,
            "/humans/faces/f00007/roi": 1,
            "/humans/faces/f00007/landmarks": 1,
            "/humans/faces/f00007/expression": 1,
            "/humans/faces/f00008/roi": 1,
            "/tf": 100,
        }
        said: dict[str, Any] = dict(node.published)
        assert said["/humans/faces/tracked"].ids == ["f00007", "f00008"]
        assert said["/humans/faces/tracked"].header.frame_id == "head_camera"
        assert said["/humans/faces/f00007/expression"].expression == "happy"
        assert said["/humans/faces/f00007/landmarks"].landmarks[30].c == pytest.approx(0.8)
        assert [one.child_frame_id for one in said["/tf"].transforms] == ["face_f00007", "gaze_f00007"]
        sink.finish({})
    assert not ros.contexts[0].up and not node.publishers


def test_faces_pictures_are_published_when_asked_for(ros: Ros) -> None:
    with Ros2Sink(parse_output_url("ros2:?pictures=1")) as sink:
        assert sink.picture == "private" and Ros2Sink(parse_output_url("ros2:")).picture == "none"
        sink.open(a_run())
        send(sink, a_face(track_id=7))
        said: dict[str, Any] = dict(ros.nodes[0].published)
        for name in ("cropped", "aligned"):
            picture = said[f"/humans/faces/f00007/{name}"]
            assert (picture.height, picture.width, picture.step, picture.encoding) == (128, 128, 384, "bgr8")
            assert len(picture.data) == 128 * 384
        sink.finish({})


def test_topics_of_a_face_that_is_gone_are_withdrawn(ros: Ros, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    with Ros2Sink(parse_output_url("ros2:")) as sink:
        monkeypatch.setattr(sink._clock, "now", lambda: now)
        sink.open(a_run())
        send(sink, a_face(track_id=1))
        now = FORGET_S - 0.1
        send(sink, index=1)
        assert not ros.nodes[0].gone and ros.nodes[0].name == "rtface"
        now = FORGET_S + 0.1
        send(sink, index=2)
        assert ros.nodes[0].gone == [f"/humans/faces/f00001/{one}" for one in ("roi", "landmarks", "expression")]
        assert sorted(ros.nodes[0].publishers) == ["/humans/faces/tracked", "/tf"]
        send(sink, a_face(track_id=1), index=3)
        assert "/humans/faces/f00001/roi" in ros.nodes[0].publishers


def test_ros_that_does_not_start_is_said_and_tried_again(ros: Ros) -> None:
    ros.fails = True
    told: list[Event] = []
    with Ros2Sink(parse_output_url("ros2:")) as sink:
        sink.open(a_run(on_event=told.append))
        wait_for(lambda: told)
        ros.fails = False
        wait_for(lambda: sink.connected)
    assert told[0].what == "ros2:rtface: failed to initialize rcl: no middleware" and told[1].kind == "output_back"
    assert not any(context.up for context in ros.contexts)


def test_without_ros_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        choose(["ros2:door"], source="demo")
    assert str(caught.value) == (
        "output ros2: cannot be used here. needs ROS 2: source /opt/ros/$ROS_DISTRO/setup.bash, "
        "apt install ros-$ROS_DISTRO-hri-msgs"
    )


def test_a_name_that_no_node_may_have(ros: Ros) -> None:
    with pytest.raises(UsageError, match="'my-door' is no name of a node"):
        Ros2Sink(parse_output_url("ros2:my-door"))


def test_the_real_rclpy_takes_them() -> None:
    rclpy = pytest.importorskip("rclpy", reason="needs ROS 2 (source /opt/ros/$ROS_DISTRO/setup.bash)")
    messages = pytest.importorskip("hri_msgs.msg", reason="needs hri_msgs (apt install ros-$ROS_DISTRO-hri-msgs)")
    context = rclpy.context.Context()
    rclpy.init(args=[], context=context)
    heard: list[Any] = []
    listener = rclpy.create_node("listener", context=context)
    listener.create_subscription(messages.FacialLandmarks, "/humans/faces/f00007/landmarks", heard.append, 1)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(listener)
    with Ros2Sink(parse_output_url("ros2:rtface_test")) as sink:
        sink.open(a_run())
        for index in range(200):
            sink.write(a_result(a_face(track_id=7), index=index))
            executor.spin_once(timeout_sec=0.05)
            if heard:
                break
    assert len(heard[0].landmarks) == 70
    executor.shutdown()
    listener.destroy_node()
    context.try_shutdown()
