"""Make the spoken prompts again from their texts: 8 kHz, mono, mu-law, one directory per language.

Needs the program espeak-ng (package ``espeak-ng``); nothing else. Run it as ``python make_prompts.py``, or with the
names of single prompts. Replace any file with a recording of your own voice under the same name and keep it: this
script overwrites only what it is asked for.
"""

# ruff: noqa: INP001, T201  # a script for a terminal, not part of a package

from __future__ import annotations

import argparse
import math
import shlex
import struct
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

HERE = Path(__file__).resolve().parent
RATE = 8000
VOICES = {"zh": "cmn", "en": "en-us"}
SPEED_WPM = {"zh": 190, "en": 165}

TEXTS: dict[str, dict[str, str]] = {
    "agent-number": {"zh": "请输入工号，按井号键结束。", "en": "Agent number, then pound."},
    "pin": {"zh": "请输入密码，按井号键结束。", "en": "PIN, then pound."},
    "logged-in": {"zh": "已登录。", "en": "Logged in."},
    "logged-out": {"zh": "已退出。", "en": "Logged out."},
    "wrong": {"zh": "操作无效。", "en": "That was not accepted."},
    "locked": {"zh": "登录已锁定，请稍后再试。", "en": "Login is locked. Please try later."},
    "pause-reason": {
        "zh": "小休按1，午餐按2，培训按3，会议按4，话后处理按5，其他按9。",
        "en": "Break 1, lunch 2, training 3, meeting 4, after call 5, other 9.",
    },
    "paused": {"zh": "已示忙。", "en": "You are away."},
    "welcome-back": {"zh": "已示闲。", "en": "You are available."},
    "all-busy": {
        "zh": "抱歉，客服正忙，请稍后再拨。",
        "en": "Sorry, all agents are busy. Please call again later.",
    },
    "please-wait": {
        "zh": "正在为您转接值班人员，请稍候。",
        "en": "Connecting you to the person on duty. Please hold.",
    },
    "press-1": {"zh": "热线来电，接听请按1。", "en": "Hotline call. Press 1 to take it."},
    "call-back": {
        "zh": "抱歉，值班人员暂时无法接听，我们会尽快给您回电。",
        "en": "Sorry, nobody can take your call now. We will call you back.",
    },
    "closed": {
        "zh": "您好，现在是非服务时间，我们会给您回电。",
        "en": "We are closed now. We will call you back.",
    },
}


def main() -> int:
    """Make the prompts that were asked for; 1 if espeak-ng does not work."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="prompts to make (all by default)")
    parser.add_argument("--espeak", default="espeak-ng", help="command that runs espeak-ng")
    options = parser.parse_args()
    unknown = set(options.names) - set(TEXTS)
    if unknown:
        parser.error(f"unknown prompt: {', '.join(sorted(unknown))}")
    total = 0
    for name in options.names or TEXTS:
        for language, text in TEXTS[name].items():
            target = HERE / language / f"{name}.ulaw"
            target.parent.mkdir(exist_ok=True)
            try:
                data = encode(trimmed(resampled(*spoken(shlex.split(options.espeak), language, text))))
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"error: espeak-ng did not speak {name} ({error}); is it installed?", file=sys.stderr)
                return 1
            target.write_bytes(data)
            total += len(data)
    print(f"{total / 1000:.0f} kB")
    return 0


def spoken(espeak: list[str], language: str, text: str) -> tuple[list[int], int]:
    """Samples and their rate as espeak-ng makes them."""
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "spoken.wav")
        command = [*espeak, "-v", VOICES[language], "-s", str(SPEED_WPM[language]), "-w", path, text]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # the user's own command
        with wave.open(path) as file:
            raw = file.readframes(file.getnframes())
            return list(struct.unpack(f"<{len(raw) // 2}h", raw)), file.getframerate()


def resampled(samples: list[int], rate: int, taps: int = 24) -> list[float]:
    """The same at 8 kHz, by a windowed sinc that keeps what a telephone carries."""
    cutoff = 0.45 * RATE / rate
    step = rate / RATE
    result = []
    for number in range(int(len(samples) / step)):
        centre = number * step
        total = 0.0
        for index in range(max(0, int(centre) - taps + 1), min(len(samples), int(centre) + taps + 1)):
            offset = index - centre
            weight = (
                2 * cutoff if offset == 0 else math.sin(2 * math.pi * cutoff * offset) / (math.pi * offset)
            )
            total += samples[index] * weight * (0.5 + 0.5 * math.cos(math.pi * offset / (taps + 1)))
        result.append(total)
    return result


def trimmed(samples: list[float], threshold: float = 200.0, margin: int = RATE // 20) -> list[float]:
    """Without the silence before and after, at an even loudness."""
    loud = [index for index, sample in enumerate(samples) if abs(sample) > threshold]
    if not loud:
        return samples
    part = samples[max(0, loud[0] - margin) : loud[-1] + margin]
    gain = 22000.0 / max(abs(sample) for sample in part)
    return [sample * gain for sample in part]


def encode(samples: list[float]) -> bytes:
    """Mu-law as in G.711."""
    result = bytearray()
    for sample in samples:
        magnitude = min(int(abs(sample)), 32635) + 132
        exponent = max(0, magnitude.bit_length() - 8)
        code = (exponent << 4) | ((magnitude >> (exponent + 3)) & 0x0F)
        result.append(~(code | (0x80 if sample < 0 else 0)) & 0xFF)
    return bytes(result)


if __name__ == "__main__":
    raise SystemExit(main())
