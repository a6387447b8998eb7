"""Runs `monitor` with a configuration, as a process of its own."""

import asyncio
import subprocess
import sys
from pathlib import Path

SERVICE = """
[receiver]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[[sources]]
name = "one"
vendor = "softsugar"
public_url = "https://hooks.example.com/callbacks/one"
keys = ["Abc123def"]
"""
"""What a configuration needs at the least, on ports that are free."""


def run(*arguments: str, config: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(_command(arguments, config), capture_output=True, text=True, check=False)


async def run_beside(*arguments: str, config: Path) -> tuple[int, bytes, str]:
    """Run a command to its end while this process goes on; return its exit code, stdout and stderr."""
    process = await start(*arguments, config=config)
    stdout, stderr = await process.communicate()
    assert process.returncode is not None
    return process.returncode, stdout, stderr.decode()


async def start(*arguments: str, config: Path) -> asyncio.subprocess.Process:
    """Start a command without waiting for its end."""
    return await asyncio.create_subprocess_exec(
        *_command(arguments, config), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


def _command(arguments: tuple[str, ...], config: Path) -> list[str]:
    return [sys.executable, "-m", "monitor", *arguments, "--config", str(config)]
