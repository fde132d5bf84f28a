"""Rasterising on OpenGL 3.3 without a window: EGL, on a GPU or on Mesa's llvmpipe.

Light is a sum of spherical harmonics (Ramamoorthi and Hanrahan 2001) and one key light with a shadow map; the answer
is linear light, a class per pixel and how much of each pixel is covered.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from rtface.datasets.labelled import Array
from rtface.errors import UsageError, require

_VERTEX = """#version 330
in vec3 pos; in vec3 nrm; in vec2 uv; in vec4 shade; in float label;
uniform mat4 P; uniform mat4 LP;
out vec3 world; out vec3 n; out vec2 t; out vec4 c; out vec4 lp; flat out float lab;
invariant gl_Position;
void main() {
  world = pos; n = nrm; t = uv; c = shade; lab = label; lp = LP * vec4(pos, 1);
  gl_Position = P * vec4(pos, 1);
}
"""
_SHADE = """#version 330
in vec3 world; in vec3 n; in vec2 t; in vec4 c; in vec4 lp; flat in float lab;
uniform sampler2D tex; uniform sampler2DShadow shadow;
uniform vec3 tint; uniform vec3 sh[9]; uniform vec3 L; uniform vec3 Lc; uniform vec3 eye;
uniform float spec; uniform float rough; uniform float wrap; uniform float bump;
layout(location = 0) out vec4 colour; layout(location = 1) out vec4 label;
float hash(vec2 p) { return fract(sin(dot(p, vec2(127.1, 311.7))) * 43758.5453); }
void main() {
  vec4 a = texture(tex, t);
  vec3 N = normalize(n), V = normalize(eye - world);
  if (dot(N, V) < 0.) N = -N;
  if (bump > 0.) {
    float h = dot(a.rgb, vec3(.333));
    vec3 dx = dFdx(world), dy = dFdy(world), r1 = cross(dy, N), r2 = cross(N, dx);
    float det = dot(dx, r1);
    vec3 g = sign(det) * (dFdx(h) * r1 + dFdy(h) * r2);
    N = normalize(abs(det) * N - bump * length(dx) * g);
  }
  float grain = c.a > 0. ? mix(1., .25 + 1.1 * hash(floor(t * 1400.)), min(c.a, 1.)) : 1.;
  vec3 albedo = pow(a.rgb, vec3(2.2)) * tint * mix(vec3(1), c.rgb * grain, c.a > 0. ? 1. : 0.) ;
  if (c.a <= 0.) albedo *= c.rgb;
  vec3 e = sh[0] + sh[1]*N.y + sh[2]*N.z + sh[3]*N.x + sh[4]*N.x*N.y + sh[5]*N.y*N.z + sh[6]*(3.*N.z*N.z - 1.)
         + sh[7]*N.x*N.z + sh[8]*(N.x*N.x - N.y*N.y);
  e = max(e, vec3(0));
  float lit = 0.; vec3 q = lp.xyz / lp.w * .5 + .5;
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++) lit += texture(shadow, vec3(q.xy + (vec2(i, j) - .5) / 256., q.z - .004));
  lit /= 4.;
  float nl = dot(N, L);
  vec3 w = wrap * vec3(1., .45, .3);
  vec3 diffuse = max((vec3(nl) + w) / (1. + w), vec3(0)) * mix(vec3(lit), vec3(1), w * .35);
  vec3 H = normalize(L + V);
  float shine = pow(max(dot(N, H), 0.), rough) * spec * (rough + 8.) / 25. * lit * max(nl, 0.);
  float rim = pow(1. - max(dot(N, V), 0.), 4.) * spec * .4;
  colour = vec4(albedo * (e + Lc * diffuse) + Lc * shine + rim * e, 1);
  label = vec4(lab / 255., 0, 0, 1);
}
"""
_DEPTH_VERTEX = """#version 330
in vec3 pos; in vec2 uv; uniform mat4 P; out vec2 t; invariant gl_Position;
void main() { t = uv; gl_Position = P * vec4(pos, 1); }
"""
#: Hair is cut out by noise on its alpha, which the averaging of sub-pixels turns into transparency.
_CUT = """#version 330
in vec2 t; uniform sampler2D tex; uniform float cut; uniform float opacity; uniform float seed;
layout(location = 0) out vec4 colour; layout(location = 1) out vec4 label;
float hash(vec2 p) { return fract(sin(dot(p, vec2(12.9898, 78.233)) + seed) * 43758.5453); }
void main() {
  if (cut > 0. && texture(tex, t).a * opacity < .9 * mix(cut, 1., hash(gl_FragCoord.xy))) discard;
  colour = vec4(1); label = vec4(1);
}
"""
_SHADOW_SIDE = 512
_ROW = "3f 3f 2f 4f f"
_NAMES = ("pos", "nrm", "uv", "shade", "label")


@dataclass(slots=True, eq=False)
class Part:
    """A textured mesh in the camera's world, and what it is made of.

    Attributes:
        positions: (V, 3) dm; ``normals`` (V, 3).
        faces: (F, 3); ``uv`` (F, 3, 2); ``labels`` (F,) parsing class of each triangle.
        texture: Gives (H, W, 4) uint8 RGBA, first row at the bottom; ``key`` names it in the renderer's cache.
        shade: (V, 4) colour that multiplies the texture, and how grainy (a beard).
        cut: Alpha below which nothing is there; 0 = solid.
        lens: Drawn into the lens map only.
    """

    positions: Array
    normals: Array
    faces: Array
    uv: Array
    labels: Array
    texture: Callable[[], Array]
    key: str
    shade: Array | None = None
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    cut: float = 0.0
    opacity: float = 1.0
    spec: float = 0.1
    rough: float = 12.0
    wrap: float = 0.0
    bump: float = 0.0
    shadow: bool = True
    lens: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """Light on a head: nine harmonics (9, 3), and a key light from `direction` (3,) of `colour` (3,)."""

    harmonics: Array
    direction: Array
    colour: Array


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """(S, S, 3) linear RGB times cover, (S, S) cover 0..1, (S, S) class ids, (S, S) lens cover 0..1."""

    linear: Array
    cover: Array
    labels: Array
    lens: Array


class Renderer:
    """One GL context; of the process that made it.

    Args:
        side: Largest picture, px.
        oversampling: Sub-pixels a pixel and axis.

    Raises:
        UsageError: moderngl or a GL driver is missing.
    """

    def __init__(self, side: int, oversampling: int = 2) -> None:
        os.environ.setdefault("LP_NUM_THREADS", "1")  # llvmpipe: processes share the cores, not threads
        moderngl = require("moderngl", "synth")
        try:
            self._gl = moderngl.create_context(standalone=True, backend="egl")
        except Exception as error:  # moderngl raises plain Exception, glcontext ImportError
            mend = "Install a driver: apt install libegl1 libgl1-mesa-dri"
            raise UsageError("rtface train synth", f"OpenGL has no driver here ({error})", mend) from error
        gl, self._moderngl = self._gl, moderngl
        self.oversampling = oversampling
        self._most = side * oversampling
        size = (self._most, self._most)
        self._colour, self._label, self._lens = (
            gl.texture(size, 4, dtype="f2"),
            gl.texture(size, 4),
            gl.texture(size, 4),
        )
        depth = gl.depth_renderbuffer(size)
        self._target = gl.framebuffer([self._colour, self._label], depth)
        self._lens_target = gl.framebuffer([self._lens, gl.texture(size, 4)], depth)
        self._shadow_map = gl.depth_texture((_SHADOW_SIDE, _SHADOW_SIDE))
        self._shadow_map.compare_func = "<="
        self._shadow_target = gl.framebuffer(depth_attachment=self._shadow_map)
        self._shade = gl.program(_VERTEX, _SHADE)
        self._cut = gl.program(_DEPTH_VERTEX, _CUT)
        self._textures: dict[str, Any] = {}

    def close(self) -> None:
        """Give the context back."""
        self._gl.release()

    def render(
        self, parts: list[Part], projection: Array, light: Light, side: int, eye_z: float, seed: int
    ) -> Rendered:
        """Rasterise `parts` seen by `projection` (4, 4) on a picture of `side` px."""
        gl, pixels = self._gl, side * self.oversampling
        towards = light_projection(light.direction)
        buffers = [(gl.buffer(_soup(part).tobytes()), part) for part in parts]
        gl.enable(self._moderngl.DEPTH_TEST)
        gl.disable(self._moderngl.CULL_FACE)
        gl.depth_func = "<"
        self._shadow_target.use()
        self._shadow_target.clear(depth=1.0)
        self._draw_depth([one for one in buffers if one[1].shadow and not one[1].lens], towards, seed)
        for target in (self._lens_target, self._target):
            target.viewport = (0, 0, pixels, pixels)
            target.use()
            target.clear(0.0, 0.0, 0.0, 0.0)
        solid = [one for one in buffers if not one[1].lens]
        self._draw_depth(solid, projection, seed)
        gl.depth_func = "=="
        self._target.depth_mask = False
        self._draw_shaded(solid, projection, towards, light, eye_z)
        self._target.depth_mask = True
        gl.depth_func = "<="
        self._lens_target.use()
        self._lens_target.depth_mask = False
        self._draw_depth([one for one in buffers if one[1].lens], projection, seed)
        self._lens_target.depth_mask = True
        for buffer, _ in buffers:
            buffer.release()
        return self._read(pixels, side)

    def _draw_depth(self, buffers: list[tuple[Any, Part]], projection: Array, seed: int) -> None:
        program = self._cut
        program["P"].write(projection.T.astype("f4").tobytes())
        _set(program, "seed", float(seed % 97))
        for buffer, part in buffers:
            self._texture(part).use(0)
            _set(program, "cut", part.cut)
            _set(program, "opacity", part.opacity)
            array = self._gl.vertex_array(program, [(buffer, "3f 3x4 2f 5x4", "pos", "uv")])
            array.render()
            array.release()

    def _draw_shaded(
        self, buffers: list[tuple[Any, Part]], projection: Array, towards: Array, light: Light, eye_z: float
    ) -> None:
        program = self._shade
        program["P"].write(projection.T.astype("f4").tobytes())
        program["LP"].write(towards.T.astype("f4").tobytes())
        program["sh"].write(light.harmonics.astype("f4").tobytes())
        _set(program, "L", tuple(light.direction / np.linalg.norm(light.direction)))
        _set(program, "Lc", tuple(light.colour))
        _set(program, "eye", (0.0, 0.0, eye_z))
        self._shadow_map.use(1)
        _set(program, "shadow", 1)
        for buffer, part in buffers:
            self._texture(part).use(0)
            for name in ("tint", "spec", "rough", "wrap", "bump"):
                _set(program, name, getattr(part, name))
            array = self._gl.vertex_array(program, [(buffer, _ROW, *_NAMES)])
            array.render()
            array.release()

    def _texture(self, part: Part) -> Any:
        if part.key not in self._textures:
            gl = self._moderngl
            image = part.texture()
            texture = self._gl.texture(image.shape[1::-1], 4, np.ascontiguousarray(image).tobytes())
            texture.build_mipmaps()
            texture.filter = (gl.LINEAR_MIPMAP_NEAREST, gl.LINEAR)
            self._textures[part.key] = texture
        return self._textures[part.key]

    def _read(self, pixels: int, side: int) -> Rendered:
        box = (0, 0, pixels, pixels)
        colour = _square(self._target.read(box, 4, attachment=0, dtype="f2"), np.float16)
        label = _square(self._target.read(box, 4, attachment=1), np.uint8)
        lens = _square(self._lens_target.read(box, 4, attachment=0), np.uint8)
        cover = (label[..., 3] > 0).astype(np.float32)
        linear = colour[..., :3].astype(np.float32) * cover[..., None]
        half, step = self.oversampling // 2, self.oversampling
        small = (side, side)
        return Rendered(
            np.asarray(cv2.resize(linear, small, interpolation=cv2.INTER_AREA)),
            np.asarray(cv2.resize(cover, small, interpolation=cv2.INTER_AREA)),
            np.ascontiguousarray((label[..., 0] * (label[..., 3] > 0))[half::step, half::step]),
            np.asarray(cv2.resize((lens[..., 3] > 0).astype(np.float32), small, interpolation=cv2.INTER_AREA)),
        )


def _square(data: bytes, kind: Any) -> Array:
    """(S, S, 4) pixels, first row at the top."""
    pixels: Array = np.frombuffer(data, kind)
    side = math.isqrt(len(pixels) // 4)
    return pixels.reshape(side, side, 4)[::-1]


def _set(program: Any, name: str, value: Any) -> None:
    """A uniform; one that the compiler found no use for is none."""
    if name in program:
        program[name] = value


def _soup(part: Part) -> Array:
    """(F * 3, 13) float32, vertices of each triangle on their own: labels are a triangle's."""
    at = part.faces.reshape(-1)
    shade = np.ones((len(part.positions), 4), np.float32) * (1, 1, 1, 0) if part.shade is None else part.shade
    rows = (part.positions[at], part.normals[at], part.uv.reshape(-1, 2), shade[at], np.repeat(part.labels, 3)[:, None])
    return np.concatenate(rows, 1).astype(np.float32)


def light_projection(direction: Array, reach: float = 2.6) -> Array:
    """(4, 4) parallel projection along a light that shines from `direction`, `reach` dm around the origin."""
    towards = direction / np.linalg.norm(direction)
    up = np.array((0.0, 1.0, 0.0)) if abs(towards[1]) < 0.9 else np.array((1.0, 0.0, 0.0))
    across = np.cross(up, towards)
    across /= np.linalg.norm(across)
    out = np.eye(4)
    out[0, :3], out[1, :3], out[2, :3] = across / reach, np.cross(towards, across) / reach, -towards / 5.0
    return out
