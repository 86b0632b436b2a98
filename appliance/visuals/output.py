# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the picture goes: a monitor, or nowhere but the snapshot. Both are drawn by the same code on the same clock.

The window is full screen on a monitor found by its name. Unplugged, it hides and waits; plugged in again, or switched
to another mode, it takes its place again. It is black or a picture, never a desktop, and shows no cursor.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import re
import socket
import time
import warnings
from collections.abc import Callable
from typing import Any, Protocol

import moderngl

from appliance.errors import Unavailable
from appliance.visuals.gl import Gl, open_headless

log = logging.getLogger(__name__)

MODE_POLL_S = 0.5
"""A mode change fires no event: the monitor is looked at this often."""


class Output(Protocol):
    """A place for pictures with the context that draws them."""

    gl: Gl

    @property
    def description(self) -> str:
        """Where the picture is, for people: `DUMMY1 1280x720` or `offscreen`."""
        ...

    @property
    def message(self) -> str:
        """What is wrong with it and what to do; empty when all is well."""
        ...

    @property
    def native_size(self) -> tuple[int, int]:
        """Width and height in pixels that a picture made for it would have; 0, 0 when it does not care."""
        ...

    def poll(self) -> None:
        """Looks after monitors and events; once a picture, never waits."""
        ...

    def present(self, picture: moderngl.Texture) -> None:
        """Shows a picture, and returns when the card is done with it."""
        ...

    def release(self) -> None:
        """Gives window and context back."""
        ...


class Offscreen:
    """Draws without a display; what is drawn is seen through snapshots."""

    def __init__(self, message: str = "") -> None:
        self.gl = open_headless()
        self.message = message

    @property
    def description(self) -> str:
        return "offscreen"

    @property
    def native_size(self) -> tuple[int, int]:
        return 0, 0

    def poll(self) -> None:
        pass

    def present(self, picture: moderngl.Texture) -> None:
        del picture  # it stays where it is: a snapshot reads it from there
        self.gl.finish()

    def release(self) -> None:
        # A context that is still current keeps GLX from making a window's current, and X ends the process for it.
        with self.gl.context:
            self.gl.finish()
        self.gl.context.release()


class Window:
    """Full screen on the monitor that `display` names, or on the second one for `second`.

    Raises Unavailable when there is no X display or it can draw nothing. GLFW wants the process's main thread.
    """

    def __init__(self, display: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._wanted = display
        self._clock = clock
        self._glfw = _glfw()
        self._window = self._open()
        # Kept by us, for GLFW does not keep the Python function alive.
        self._on_monitor = lambda monitor, event: self._look_again()
        self._glfw.set_monitor_callback(self._on_monitor)
        self._look_at = 0.0
        self._placed: tuple[Any, ...] | None = None
        self._name = ""
        glfw = self._glfw
        settings: dict[str, Any] = {"context": _LoadedByGlfw(glfw, self._window)}
        context = moderngl.create_context(**settings)
        self.gl = Gl(context, lambda name: _address(glfw, name))
        glfw.swap_interval(0 if self.gl.is_software else 1)
        self.poll()

    def _open(self) -> Any:
        glfw = self._glfw
        hints = {
            glfw.CONTEXT_VERSION_MAJOR: 3,
            glfw.CONTEXT_VERSION_MINOR: 3,
            glfw.OPENGL_PROFILE: glfw.OPENGL_CORE_PROFILE,
            glfw.OPENGL_FORWARD_COMPAT: 1,
            glfw.AUTO_ICONIFY: 0,
            glfw.VISIBLE: 0,
            glfw.DECORATED: 0,
            glfw.FOCUS_ON_SHOW: 0,
            glfw.DOUBLEBUFFER: 1,
        }
        for api in (glfw.NATIVE_CONTEXT_API, glfw.EGL_CONTEXT_API):
            glfw.default_window_hints()
            for hint, value in (hints | {glfw.CONTEXT_CREATION_API: api}).items():
                glfw.window_hint(hint, value)
            window = glfw.create_window(64, 36, "appliance", None, None)
            if window:
                glfw.make_context_current(window)
                glfw.set_input_mode(window, glfw.CURSOR, glfw.CURSOR_HIDDEN)
                return window
        reason = _last_error(glfw)
        glfw.terminate()
        raise Unavailable(
            f"the display cannot draw OpenGL 3.3 ({reason}); install libgl1-mesa-dri or the card's driver"
        )

    @property
    def description(self) -> str:
        if self._placed is None:
            return "hidden"
        return f"{self._name} {self._placed[1]}x{self._placed[2]}"

    @property
    def message(self) -> str:
        if self._placed is not None:
            return ""
        names = ", ".join(name for name, _ in self._monitors()) or "none"
        if self._wanted == "second":
            return f"there is no second display (found: {names}); plug one in, or name one in visuals.display"
        return f"the display {self._wanted} is not there (found: {names}); plug it in, it is used at once"

    @property
    def native_size(self) -> tuple[int, int]:
        return (0, 0) if self._placed is None else (self._placed[1], self._placed[2])

    def _look_again(self) -> None:
        self._look_at = 0.0

    def _monitors(self) -> list[tuple[str, Any]]:
        """Names and handles; the primary one first."""
        glfw = self._glfw
        found = []
        for monitor in glfw.get_monitors() or ():
            name = glfw.get_monitor_name(monitor)
            found.append((name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name), monitor))
        return found

    def _target(self) -> tuple[str, Any] | None:
        monitors = self._monitors()
        if self._wanted == "second":
            return monitors[1] if len(monitors) > 1 else None
        return next((m for m in monitors if m[0].lower() == self._wanted.lower()), None)

    def poll(self) -> None:
        self._glfw.poll_events()
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + MODE_POLL_S
            self._place()

    def _place(self) -> None:
        """Puts the window where it belongs if it is not there already."""
        glfw = self._glfw
        target = self._target()
        mode = glfw.get_video_mode(target[1]) if target else None
        if target is None or mode is None:
            if self._placed is not None:
                # Left alone, a window whose monitor has gone lies somewhere on what remains.
                glfw.set_window_monitor(self._window, None, 0, 0, 64, 36, 0)
                glfw.hide_window(self._window)
                log.warning("visuals: display %s is gone; hidden until it is back", self._name)
            self._placed = None
            return
        name, monitor = target
        position = tuple(glfw.get_monitor_pos(monitor))
        place = (ctypes.addressof(monitor.contents), mode.size.width, mode.size.height, mode.refresh_rate, position)
        attached = glfw.get_window_monitor(self._window)
        if place == self._placed and attached:
            return
        glfw.show_window(self._window)
        refresh = mode.refresh_rate or glfw.DONT_CARE
        glfw.set_window_monitor(self._window, monitor, 0, 0, mode.size.width, mode.size.height, refresh)
        glfw.set_input_mode(self._window, glfw.CURSOR, glfw.CURSOR_HIDDEN)
        self._placed, self._name = place, name
        log.info("visuals: full screen on %s, %d x %d", name, mode.size.width, mode.size.height)

    def present(self, picture: moderngl.Texture) -> None:
        if self._placed is None:
            self.gl.finish()
            return
        screen = self.gl.context.screen
        width, height = self._glfw.get_framebuffer_size(self._window)
        if width and height:
            screen.use()
            self.gl.context.viewport = (0, 0, width, height)
            screen.clear(viewport=(0, 0, width, height))
            scale = min(width / picture.width, height / picture.height)
            shown = (round(picture.width * scale), round(picture.height * scale))
            screen.viewport = ((width - shown[0]) // 2, (height - shown[1]) // 2, *shown)
            self.gl.copy(picture, screen)
        self._glfw.swap_buffers(self._window)

    def release(self) -> None:
        glfw = self._glfw
        glfw.set_monitor_callback(None)
        self.gl.context.release()
        glfw.destroy_window(self._window)
        glfw.terminate()


class _LoadedByGlfw:
    """Hands GLFW's context to moderngl, which otherwise looks for one through GLX alone."""

    def __init__(self, glfw: Any, window: Any) -> None:
        self._glfw, self._window = glfw, window

    def load_opengl_function(self, name: str) -> int:
        return _address(self._glfw, name)

    load = load_opengl_function

    def __enter__(self) -> None:
        self._glfw.make_context_current(self._window)

    def __exit__(self, *_: object) -> None:
        pass

    def release(self) -> None:
        pass


def _address(glfw: Any, name: str) -> int:
    pointer = glfw.get_proc_address(name)
    return (ctypes.cast(pointer, ctypes.c_void_p).value or 0) if pointer else 0


def _glfw() -> Any:
    """GLFW, initialised. Raises Unavailable where it finds no display."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import glfw
    except ImportError as error:
        raise Unavailable(f"windows cannot be opened ({error}); install the Python package glfw") from None
    glfw.ERROR_REPORTING = False
    if not glfw.init():
        reason = _last_error(glfw)
        raise Unavailable(f"no display can be opened ({reason}); start an X server, or set visuals.display to none")
    return glfw


def _last_error(glfw: Any) -> str:
    _, description = glfw.get_error()
    text = (
        description.decode("utf-8", "replace")
        if isinstance(description, bytes)
        else str(description or "no reason given")
    )
    return text.strip().rstrip(".")


def display_answers() -> bool:
    """True when the X server that DISPLAY names accepts connections, asked without X's own library.

    That library ends the process when a server goes away, so it is not loaded to find out.
    """
    match = re.fullmatch(r"(?:unix)?:(\d+)(?:\.\d+)?", os.environ.get("DISPLAY", ""))
    if not match:
        return bool(os.environ.get("DISPLAY"))
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as link:
        link.settimeout(0.2)
        try:
            link.connect(f"/tmp/.X11-unix/X{match[1]}")
        except OSError:
            return False
    return True


def open_output(display: str) -> Output:
    """The output that `visuals.display` asks for, or offscreen with a message when it cannot be had.

    Raises Unavailable only when nothing can draw at all.
    """
    if display == "none":
        return Offscreen()
    if not display_answers():
        where = os.environ.get("DISPLAY")
        reason = f"the X display {where} does not answer" if where else "there is no X display (DISPLAY is not set)"
        return Offscreen(f"{reason}; the picture is drawn offscreen until it is there (see /visuals/snapshot)")
    try:
        return Window(display)
    except Unavailable as error:
        return Offscreen(f"{error.message}; the picture is drawn offscreen (see /visuals/snapshot)")
