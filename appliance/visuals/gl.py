# SPDX-License-Identifier: GPL-3.0-or-later
"""A GL context with what every part of the picture shares, and the few GL calls that must not stop the other threads.

moderngl holds Python's lock while the driver works. A first draw may compile for seconds and a finish waits for the
rasteriser, so those two go through ctypes, which lets go of the lock: the hub and the heartbeat carry on meanwhile.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from collections.abc import Callable
from typing import Any

import moderngl
import numpy as np

from appliance.errors import Unavailable

_TRIANGLE_STRIP = 0x0005
_COPY_VERTEX = """#version 330
in vec2 isf_corner;
out vec2 place;
void main() { place = isf_corner * 0.5 + 0.5; gl_Position = vec4(isf_corner, 0.0, 1.0); }
"""
_COPY_FRAGMENT = """#version 330
uniform sampler2D picture;
in vec2 place;
out vec4 colour;
void main() { colour = texture(picture, place); }
"""
_SOFTWARE = ("llvmpipe", "softpipe", "swrast", "swr")

ProcAddress = Callable[[str], int]


class Gl:
    """One GL context, current on the thread that made it.

    `address_of` finds a GL function in the driver that the context belongs to.
    """

    def __init__(self, context: moderngl.Context, address_of: ProcAddress) -> None:
        self.context = context
        self.corners = context.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], "f4").tobytes())
        context.disable(moderngl.BLEND | moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        self._use_program = _function(address_of, "glUseProgram", ctypes.c_uint)
        self._bind_vertex_array = _function(address_of, "glBindVertexArray", ctypes.c_uint)
        self._draw_arrays = _function(address_of, "glDrawArrays", ctypes.c_uint, ctypes.c_int, ctypes.c_int)
        self._finish = _function(address_of, "glFinish")
        self._copy = context.program(vertex_shader=_COPY_VERTEX, fragment_shader=_COPY_FRAGMENT)
        self._copy_strip = self.strip(self._copy)

    @property
    def renderer(self) -> str:
        """What draws, in the driver's words."""
        return str(self.context.info["GL_RENDERER"])

    @property
    def is_software(self) -> bool:
        """True when the processor draws, which then has less time for the sound."""
        name = self.renderer.lower()
        return any(word in name for word in _SOFTWARE)

    def strip(self, program: moderngl.Program) -> moderngl.VertexArray:
        """The four corners of the picture as the attribute `isf_corner` of a program."""
        return self.context.vertex_array(program, [(self.corners, "2f", "isf_corner")])

    def draw(self, program: moderngl.Program, strip: moderngl.VertexArray) -> None:
        """Draws over the whole of the framebuffer in use; other threads run even while the driver compiles."""
        self._use_program(program.glo)
        self._bind_vertex_array(strip.glo)
        self._draw_arrays(_TRIANGLE_STRIP, 0, 4)

    def copy(self, picture: moderngl.Texture, target: moderngl.Framebuffer) -> None:
        """Draws a picture over the viewport of `target`, stretched to it."""
        picture.use(0)
        target.use()
        self.draw(self._copy, self._copy_strip)

    def finish(self) -> None:
        """Waits until everything is drawn; other threads run meanwhile."""
        self._finish()


def _function(address_of: ProcAddress, name: str, *arguments: type) -> Callable[..., None]:
    address = address_of(name)
    if not address:
        raise Unavailable(
            f"the graphics driver has no {name}; install a driver with OpenGL 3.3 (Debian: libgl1-mesa-dri)"
        )
    return ctypes.CFUNCTYPE(None, *arguments)(address)


def open_headless() -> Gl:
    """A context that draws without any display. Raises Unavailable with what to install where there is none."""
    # Mesa prints to stderr when it tries graphics cards that are not there; that is no news to anybody.
    os.environ.setdefault("EGL_LOG_LEVEL", "fatal")
    library = ctypes.util.find_library("EGL")
    try:
        if library is None:
            raise Unavailable("libEGL is not installed")
        egl = ctypes.CDLL(library)
        settings: dict[str, Any] = {"backend": "egl", "libegl": library}
        context = moderngl.create_context(standalone=True, **settings)
    except Exception as error:  # noqa: BLE001 - moderngl raises plain Exceptions here
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise Unavailable(f"nothing can draw here ({reason}); install libegl1 and libgl1-mesa-dri") from None
    find = egl.eglGetProcAddress
    find.argtypes, find.restype = [ctypes.c_char_p], ctypes.c_void_p
    return Gl(context, lambda name: find(name.encode()) or 0)
