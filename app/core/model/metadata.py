"""Addresses of clouds' metadata services, which hand out credentials."""

from __future__ import annotations

METADATA = (
    "169.254.169.254",
    "169.254.170.2",
    "168.63.129.16",
    "100.100.100.200",
    "fd00:ec2::254",
)
"""Where clouds answer for credentials: AWS, Azure, Google, OpenStack; ECS tasks; Azure's
WireServer; Alibaba; AWS over IPv6. Source: each vendor's page on instance metadata."""
