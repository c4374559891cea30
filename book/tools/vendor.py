"""Fetch the scripts that the pages need into `_vendor/`, so that a reader's browser asks no other site.

    python book/tools/vendor.py

MathJax typesets formulas; require.js, html-manager and anywidget's module keep widgets alive with no kernel.
They come from npm, are checked against the hashes below, and land under the names that `_config.yml` expects.
Without npm, or without a network, small stand-ins of the same names point to a public CDN instead.
"""

import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "_vendor"
CDN = "https://cdn.jsdelivr.net/npm/"

# package@version -> (sha512 of the tarball, folder in it, folder under _vendor/, files to keep as a pattern)
PACKAGES = {
    "mathjax@3.2.2": (
        "06df9249553c7811b6ef30a155ec0e89c62ced7b1db78d2a9b8f94a47c97ee4d"
        "3f3bd36588f73ec7bee4d7f144b0fb2328f64626fb5164cd6f3be81e5b43a11b",
        "package/es5/",
        "mathjax",
        r"tex-mml-chtml\.js|input/tex/extensions/.*|output/chtml/fonts/woff-v2/.*|a11y/.*|ui/.*"
        r"|sre/mathmaps/(base|en|nemeth)\.json",
    ),
    "@jupyter-widgets/html-manager@1.0.15": (
        "e6d841215eb298d8263d5387bf3c7e806cbc6522a649ace1b46c38fdce312435"
        "734611bd3d3790b118c5dc5513a29bc58bffd200178dcf5ca9e3b6c2ac9dc240",
        "package/dist/",
        "widgets",
        r"embed-amd\.js|.*\.woff2",
    ),
    "requirejs@2.3.8": (
        "eff71348b39d6243413497033167fe96e16f32b8959bb798c69e017050ac017d"
        "30178db557271ee525cfd7b73e25de68b5728635e848a27165c905d2a302fa33",
        "package/",
        "widgets",
        r"require\.js",
    ),
}

# Runs between require.js and html-manager. MathJax.Hub is MathJax 2's: ipywidgets still calls it for labels.
LOCAL_JS = """\
(function () {
  var here = document.currentScript.src.replace(/[^/]*$/, "");
  require.config({paths: {"anywidget": here + "anywidget", "@jupyter-widgets/html-manager/dist": DIST}});
  window.MathJax = window.MathJax || {};
  window.MathJax.Hub = window.MathJax.Hub || {
    Config: function () {},
    Configured: function () {},
    Queue: function (call) {
      if (window.MathJax.typesetPromise) { window.MathJax.typesetPromise([].concat(call[2] || [])); }
    }
  };
})();
"""

# Stand-ins. The widget scripts must run in order, so they are written into the page; MathJax may come late.
WRITE_JS = "document.write('<script src=\"{url}\"><\\/script>');\n"
APPEND_JS = 'document.head.appendChild(Object.assign(document.createElement("script"), {{src: "{url}"}}));\n'


def fetch(package, sha512, folder):
    """Download one npm package into `folder` and return its tarball's bytes, checked."""
    command = ["npm", "pack", "--silent", package]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise OSError(f"npm could not fetch {package}: {last}")
    data = (Path(folder) / done.stdout.strip().splitlines()[-1]).read_bytes()
    found = hashlib.sha512(data).hexdigest()
    if found != sha512:
        sys.exit(f"{package}: its sha512 is {found}, not {sha512}. Nothing was installed.")
    return data


def unpack(data, prefix, target, keep):
    """Copy the files of a tarball under `prefix` whose path matches `keep`, and its licence, to `target`."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in filter(tarfile.TarInfo.isfile, archive):
            name = member.name.removeprefix(prefix)
            if member.name.startswith(prefix) and re.fullmatch(keep, name):
                path = target / name
            elif member.name == "package/LICENSE":
                path = target / "LICENSE"
            else:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.extractfile(member).read())


def from_npm(target):
    """Fill `target` with the real files."""
    with tempfile.TemporaryDirectory() as folder:
        for package, (sha512, prefix, place, keep) in PACKAGES.items():
            unpack(fetch(package, sha512, folder), prefix, target / place, keep)
    write_local(target, "here.replace(/[/]$/, '')")


def from_cdn(target):
    """Fill `target` with stand-ins that load the same versions from the CDN."""
    mathjax, manager, require = (CDN + package for package in PACKAGES)
    (target / "mathjax").mkdir(parents=True)
    (target / "widgets").mkdir()
    (target / "mathjax/tex-mml-chtml.js").write_text(APPEND_JS.format(url=f"{mathjax}/es5/tex-mml-chtml.js"))
    (target / "widgets/require.js").write_text(WRITE_JS.format(url=f"{require}/require.js"))
    (target / "widgets/embed-amd.js").write_text(WRITE_JS.format(url=f"{manager}/dist/embed-amd.js"))
    write_local(target, f"'{manager}/dist'")


def write_local(target, dist):
    """Write the script that tells require.js where things are, and anywidget's module beside it."""
    (target / "widgets/local.js").write_text(LOCAL_JS.replace("DIST", dist))
    installed = Path(sys.prefix) / "share/jupyter/nbextensions/anywidget/index.js"
    shutil.copyfile(installed, target / "widgets/anywidget.js")


def main():
    """Make `_vendor/` unless it is there already, made by this very file."""
    stamp = VENDOR / ".stamp"
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == f"npm {version}\n":
        return
    # What a killed run left.
    for stale in (VENDOR, *ROOT.glob("_vendor-*")):
        shutil.rmtree(stale, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix="_vendor-", dir=ROOT))
    try:
        if shutil.which("npm") is None:
            raise OSError("npm is not installed")
        from_npm(fresh)
        source = "npm"
    except OSError as error:
        shutil.rmtree(fresh)
        from_cdn(fresh)
        source = "cdn"
        print(f"  {error}: the pages will load MathJax and the widget scripts from {CDN.split('/')[2]}")
    (fresh / ".stamp").write_text(f"{source} {version}\n")
    fresh.chmod(0o755)
    fresh.rename(VENDOR)


if __name__ == "__main__":
    main()
