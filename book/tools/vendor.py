"""Fetch the scripts that the pages need into `_vendor/`, so that a reader's browser
asks no other site.

    python book/tools/vendor.py             from npm; without it, stand-ins for a public CDN
    python book/tools/vendor.py --strict    from npm, or an error
    python book/tools/vendor.py --hashes    write cdn.json anew, from npm

MathJax typesets formulas; require.js, html-manager and anywidget's module keep widgets
alive with no kernel. They come from npm, are checked against the hashes below, and land
under the names that `_config.yml` expects. The stand-ins have the same names. A browser
runs what the CDN sends only where it agrees with the hashes in cdn.json.

A kill at any moment leaves `_vendor/` as it was, as it should be, or absent; the next
run clears up.
"""

import argparse
import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import files  # noqa: E402

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "_vendor"
HASHES = Path(__file__).with_name("cdn.json")
CDN = "https://cdn.jsdelivr.net/npm/"

# package@version -> (sha512 of the tarball, folder in it, folder under _vendor/, files
# to keep as a pattern)
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

# Runs between require.js and html-manager. MathJax.Hub is MathJax 2's: ipywidgets still
# calls it for labels.
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
"""  # noqa: E501

# Stand-ins. The widget scripts must run in order, so they are written into the page;
# MathJax may come late. What MathJax loads by itself later goes through its setting
# `loader.require`.
WRITE_JS = """\
document.write('<script src="URL" integrity="HASH" crossorigin="anonymous"><\\/script>');
"""
MATHJAX_JS = """\
(function () {
  var root = "ROOT", hashes = HASHES;
  var add = function (properties) {
    document.head.appendChild(Object.assign(document.createElement("script"), properties));
  };
  window.MathJax = window.MathJax || {};
  window.MathJax.loader = window.MathJax.loader || {};
  window.MathJax.loader.require = function (url) {
    var hash = hashes[url.slice(root.length)];
    if (!hash) { throw new Error("there is no hash of " + url); }
    return fetch(url, {integrity: hash})
      .then(function (answer) { return answer.text(); })
      .then(function (code) { add({text: code}); });
  };
  var first = "tex-mml-chtml.js";
  add({src: root + first, integrity: hashes[first], crossOrigin: "anonymous"});
})();
"""


def fetch(package, sha512, folder):
    """Download one npm package into `folder` and return its tarball's bytes, checked."""
    command = ["npm", "pack", "--silent", package]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise OSError(f"npm could not fetch {package}: {last}")
    data = (Path(folder) / done.stdout.strip().splitlines()[-1]).read_bytes()
    found = hashlib.sha512(data).hexdigest()
    if found != sha512:
        sys.exit(
            f"{package}: its sha512 is {found}, not {sha512}. Nothing was installed."
        )
    return data


def unpack(data, prefix, target, keep):
    """Copy the files of a tarball under `prefix` whose path matches `keep`, and its
    licence, to `target`.
    """
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
    # Beside `target`, where the next run finds what a killed one left.
    with tempfile.TemporaryDirectory(prefix="_vendor-", dir=target.parent) as folder:
        for package, (sha512, prefix, place, keep) in PACKAGES.items():
            unpack(fetch(package, sha512, folder), prefix, target / place, keep)
    write_local(target, "here.replace(/[/]$/, '')")


def from_cdn(target):
    """Fill `target` with stand-ins that load the same versions from the CDN."""
    hashes = json.loads(HASHES.read_text())
    mathjax, manager, require = (CDN + package for package in PACKAGES)
    (target / "mathjax").mkdir(parents=True)
    (target / "widgets").mkdir()
    own = {
        k.removeprefix("mathjax/"): v
        for k, v in hashes.items()
        if k.startswith("mathjax/")
    }
    script = MATHJAX_JS.replace("ROOT", f"{mathjax}/es5/").replace(
        "HASHES", json.dumps(own)
    )
    (target / "mathjax/tex-mml-chtml.js").write_text(script)
    for name, folder in (("require.js", require), ("embed-amd.js", f"{manager}/dist")):
        script = WRITE_JS.replace("URL", f"{folder}/{name}")
        script = script.replace("HASH", hashes[f"widgets/{name}"])
        (target / "widgets" / name).write_text(script)
    write_local(target, f"'{manager}/dist'")


def integrity(data):
    """The hash of a script as a browser reads it."""
    return "sha384-" + base64.b64encode(hashlib.sha384(data).digest()).decode()


def hashes_of(folder):
    """The hash of every script that npm brought into `folder`, by its path there."""
    own = {folder / "widgets/local.js", folder / "widgets/anywidget.js"}
    scripts = sorted(set(folder.rglob("*.js")) - own)
    return {
        path.relative_to(folder).as_posix(): integrity(path.read_bytes())
        for path in scripts
    }


def write_local(target, dist):
    """Write the script that tells require.js where things are, and anywidget's module
    beside it.
    """
    (target / "widgets/local.js").write_text(LOCAL_JS.replace("DIST", dist))
    installed = Path(sys.prefix) / "share/jupyter/nbextensions/anywidget/index.js"
    shutil.copyfile(installed, target / "widgets/anywidget.js")


def fill(target, strict):
    """Fill `target` from npm, or with stand-ins unless that is an error; return where
    it came from.
    """
    try:
        if shutil.which("npm") is None:
            raise OSError("npm is not installed")
        from_npm(target)
        return "npm"
    except OSError as error:
        if strict:
            sys.exit(f"{error}. Nothing was written: --strict allows no stand-ins.")
        shutil.rmtree(target)
        from_cdn(target)
        site = CDN.split("/")[2]
        print(
            f"  {error}: the pages will load MathJax and the widget scripts from {site}"
        )
        return "cdn"


def version():
    """What the stamp in `_vendor/` says when this very file made it."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def new_folder():
    """An empty folder beside `_vendor/`, under a name that the next run clears away."""
    return Path(tempfile.mkdtemp(prefix="_vendor-", dir=ROOT))


def clear():
    """Remove what this run or a killed one left beside `_vendor/`."""
    for stale in ROOT.glob("_vendor-*"):
        shutil.rmtree(stale, ignore_errors=True)


def make(strict):
    """Make `_vendor/`, whole or not at all."""
    try:
        fresh = new_folder()
        source = fill(fresh, strict)
        (fresh / ".stamp").write_text(f"{source} {version()}\n")
        fresh.chmod(0o755)
        if VENDOR.exists():
            # Not removed in place: a kill would leave half of it, with its stamp.
            VENDOR.rename(new_folder() / "old")
        fresh.rename(VENDOR)
    finally:
        clear()


def write_hashes():
    """Write cdn.json from what npm has."""
    with tempfile.TemporaryDirectory() as folder:
        from_npm(Path(folder) / "vendor")
        hashes = hashes_of(Path(folder) / "vendor")
    files.write(HASHES, json.dumps(hashes, indent=1) + "\n")


def main():
    """Make `_vendor/` unless it is there already, made by this very file; see the top
    of it.
    """
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--hashes", action="store_true")
    options = parser.parse_args()
    if options.hashes:
        write_hashes()
        return
    stamp = VENDOR / ".stamp"
    if not stamp.exists() or stamp.read_text() != f"npm {version()}\n":
        make(options.strict)


if __name__ == "__main__":
    main()
