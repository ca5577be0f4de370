"""All of the package's metadata; ``pyproject.toml`` holds only the tools' settings."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent

VERSION = re.search(
    r'__version__ = "(.+?)"',
    (ROOT / "chatgpt4online" / "_version.py").read_text(encoding="utf-8"),
).group(1)

# scripts/matrix.py reads the lower bounds from this list and runs the tests with them.
INSTALL_REQUIRES = [
    "requests>=2.25.0",
    "urllib3>=1.26.0",
    "sseclient-py>=1.8.0",
]

EXTRAS = {
    "cli": ["rich"],
    "batch": ["tqdm"],
    "notebook": ["ipython"],
    "dask": ["distributed"],
    "llm": ["llm>=0.36; python_version >= '3.10'"],
    "langchain": ["langchain-core>=1.0; python_version >= '3.10'"],
}
EXTRAS["all"] = sorted(sum(EXTRAS.values(), []))

TEST = [
    "coverage[toml]",
    "hypothesis",
    "PySocks",
    "pytest",
    "pytest-rerunfailures",
    "pytest-timeout",
    "pytest-xdist",
    "responses",
    "rich",
    "trustme",
]
BENCH = ["aiohttp", "anthropic", "httpx-sse", "ollama", "openai", "requests-sse", "trustme"]
FUZZ = ["atheris; python_version >= '3.11' and sys_platform == 'linux'"]
MUTATE = ["cosmic-ray; python_version >= '3.9'"]
DOCS = ["furo", "sphinx"]
DEV = ["build", "mypy", "ruff", "twine", "types-requests"]

# Tests that need these run where they are installed; not all support the oldest Pythons.
ECOSYSTEMS = [
    "basedpyright",
    "betamax",
    "distributed",
    "django",
    "eventlet",
    "flask",
    "freezegun",
    "gevent",
    "ipykernel",
    "ipython",
    "langchain-core",
    "langchain-tests",
    "llm",
    "matplotlib",
    "nbclient",
    "nbconvert",
    "pandas",
    "opentelemetry-instrumentation-requests",
    "opentelemetry-sdk",
    "requests-mock",
    "requests-ratelimiter",
    "time-machine",
    "tqdm",
    "vcrpy",
]
DEV += [f"{name}; python_version >= '3.11'" for name in ECOSYSTEMS]

setup(
    name="chatgpt4online",
    version=VERSION,
    description="A synchronous SDK for chatbots served by the WordPress plugin AI Engine",
    project_urls={
        "AI Engine": "https://wordpress.org/plugins/ai-engine/",
        "Default site": "https://chatgpt4online.org",
    },
    long_description=(ROOT / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    author="The chatgpt4online developers",
    license="MIT",
    keywords=[
        *("ai-engine", "api-client", "chat", "chatbot", "chatgpt", "langchain", "llm", "requests"),
        *("sdk", "server-sent-events", "streaming", "synchronous", "wordpress"),
    ],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Framework :: IPython",
        "Framework :: Jupyter",
        "Framework :: Pytest",
        "Intended Audience :: Developers",
        "Natural Language :: English",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.8",
        "Programming Language :: Python :: 3.9",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Programming Language :: Python :: 3.15",
        "Programming Language :: Python :: Implementation :: CPython",
        "Topic :: Communications :: Chat",
        "Topic :: Internet :: WWW/HTTP",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Software Development :: Libraries :: Python Modules",
        "Topic :: Software Development :: Testing",
        "Typing :: Typed",
    ],
    package_dir={"": "."},  # an editable install is then a path, not a finder that takes 30 ms
    packages=find_packages(include=["chatgpt4online", "chatgpt4online.*"]),
    package_data={"chatgpt4online": ["py.typed"]},
    zip_safe=False,
    python_requires=">=3.8",
    install_requires=INSTALL_REQUIRES,
    extras_require={
        **EXTRAS,
        "test": TEST,
        "bench": BENCH,
        "docs": DOCS,
        "dev": TEST + DOCS + DEV,
        "fuzz": FUZZ,
        "mutate": MUTATE,
    },
    entry_points={
        "console_scripts": ["chatgpt4online = chatgpt4online.cli:main"],
        "llm": ["chatgpt4online = chatgpt4online.integrations.llm"],
        # Named like its module, so that "-p" and pytest_plugins find it already loaded.
        "pytest11": [
            "chatgpt4online.testing.pytest_plugin = chatgpt4online.testing.pytest_plugin",
        ],
    },
)
