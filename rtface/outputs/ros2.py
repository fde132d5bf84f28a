"""A ROS 2 node that publishes faces as ROS 4 HRI has them (REP-155, hri_msgs 2), while the run goes on.

The messages are those of a ``.rosbag`` (`rtface.outputs.hri`). rclpy comes with ROS 2, not from PyPI.
"""

from __future__ import annotations

import re
import time
from array import array
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Any

from numpy import ndarray

from rtface.errors import UsageError
from rtface.outputs.hri import CAMERA_FRAME, Message, build, messages
from rtface.outputs.network import NetworkSink
from rtface.outputs.output_url import OutputUrl
from rtface.types import FrameResult

#: Messages that wait for a subscriber: of a face only the newest counts, of transforms as many as tf2 keeps.
DEPTH, TF_DEPTH = 1, 100
#: Seconds after which the topics of a face that is gone are withdrawn.
FORGET_S = 5.0
#: What ROS takes as a node's name.
NODE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Ros2Sink(NetworkSink[FrameResult]):
    """Publishes ``/humans/faces/tracked``, the topics of each face below ``/humans/faces/<id>/``, and ``/tf``.

    Args:
        url: ``ros2:NAME?frame_id=camera_optical_frame&pictures=1``; NAME is the node's, "rtface" where it is missing.
    """

    def __init__(self, url: OutputUrl) -> None:
        url.only("frame_id", "pictures")
        node_name = url.name or "rtface"
        if not NODE_NAME.fullmatch(node_name):
            raise UsageError(url.shown, f"{node_name!r} is no name of a node", "Use letters, digits and _: ros2:door")
        super().__init__(f"ros2:{node_name}")
        self._node_name = node_name
        self._pictures = url.switch("pictures")
        self.picture = "private" if self._pictures else "none"
        self._frame_id = url.settings.get("frame_id", CAMERA_FRAME)
        self._context: Any = None
        self._node: Any = None
        self._publishers: dict[str, Any] = {}
        self._used_at: dict[str, float] = {}

    def items(self, result: FrameResult) -> Iterable[FrameResult]:
        return (result,)

    def connect(self) -> None:
        rclpy: Any = import_module("rclpy")
        no_handlers = import_module("rclpy.signals").SignalHandlerOptions.NO
        # A context of its own, without signal handlers: Ctrl-C is the run's, and the caller's own nodes are left alone.
        self._context = import_module("rclpy.context").Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=no_handlers)
        self._node = rclpy.create_node(self._node_name, context=self._context, start_parameter_services=False)

    def send(self, item: FrameResult) -> None:
        now = self._clock.now()
        stamp_s = time.time() if item.time is None else item.time.timestamp()
        for message in messages(item, stamp_s, self._frame_id, pictures=self._pictures):
            self._publisher(message).publish(build(message.kind, message.fields, _made))
            self._used_at[message.topic] = now
        for topic in [topic for topic, at in self._used_at.items() if now - at > FORGET_S]:
            del self._used_at[topic]
            self._node.destroy_publisher(self._publishers.pop(topic))

    def _publisher(self, message: Message) -> Any:
        if message.topic not in self._publishers:
            depth = TF_DEPTH if message.topic == "/tf" else DEPTH
            self._publishers[message.topic] = self._node.create_publisher(_class(message.kind), message.topic, depth)
        return self._publishers[message.topic]

    def disconnect(self) -> None:
        self._publishers.clear()
        self._used_at.clear()
        node, self._node = self._node, None
        context, self._context = self._context, None
        try:
            if node is not None:
                node.destroy_node()
        finally:
            if context is not None:
                context.try_shutdown()


def _made(kind: str, fields: dict[str, Any]) -> Any:
    # Its generated classes take bytes as an array of the standard library.
    given = {name: array("B", one.tobytes()) if isinstance(one, ndarray) else one for name, one in fields.items()}
    return _class(kind)(**given)


@cache
def _class(kind: str) -> Any:
    """``hri_msgs/msg/IdsList`` → ``hri_msgs.msg.IdsList``."""
    package, _, name = kind.partition("/msg/")
    return getattr(import_module(f"{package}.msg"), name)


def open_output(url: OutputUrl) -> Ros2Sink:
    """The output for an address."""
    return Ros2Sink(url)
