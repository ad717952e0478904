t(){ echo; echo "\$ $*"; "$@"; echo "[rc=$?]"; }
s(){ echo; echo "\$ $1"; bash -c "$1"; echo "[rc=$?]"; }
id; systemctl --version | head -1; which supervise; ls -l $(which supervise); cat /etc/os-release | head -1; getent passwd | tail -5
mkdir -p "/srv/my odd project/data feed/sub dir" "/srv/my odd project/tools"; cd "/srv/my odd project"
cat > "data feed/run api.py" <<'P'
import time
if __name__ == "__main__":
    while True: time.sleep(1)
P
cat > "data feed/sub dir/main.py" <<'P'
import time
if __name__ == "__main__":
    while True: time.sleep(1)
P
cat > tools/helper.py <<'P'
def f(): pass
P
cat > bot.py <<'P'
#!/usr/bin/env python3
import time
def main():
    while True: time.sleep(1)
main()
P
s 'supervise'
s 'supervise status'
s 'supervise check'
s 'supervise init'
s 'cat agents.yaml'
s 'supervise check'
s 'supervise plan'
s 'supervise init'
s 'supervise install'
s 'supervise status'
s 'supervise apply --yes'
s 'supervise status'
s 'supervise init --help'
# uv project
mkdir -p /srv/uvp/src/uvp; cd /srv/uvp
cat > pyproject.toml <<'P'
[project]
name="uvp"
version="0.1"
[project.scripts]
uvp-bot = "uvp.main:main"
[tool.uv]
P
touch uv.lock src/uvp/__init__.py
cat > src/uvp/__main__.py <<'P'
print(1)
P
cat > src/uvp/main.py <<'P'
def main():
    pass
if __name__ == "__main__": main()
P
s 'supervise init; cat agents.yaml; supervise check'
mkdir -p /srv/po; cd /srv/po
cat > pyproject.toml <<'P'
[tool.poetry]
name="po"
version="0.1"
[tool.poetry.scripts]
po-bot = "po.main:main"
P
s 'supervise init; cat agents.yaml; supervise check'
mkdir -p /srv/empty; cd /srv/empty
s 'supervise init; cat agents.yaml; supervise check; supervise plan'
cd /; s 'supervise init --from-processes; cat agents.yaml; rm -f agents.yaml'
mkdir -p '/srv/Ünicode-päth'; cd '/srv/Ünicode-päth'; cp /srv/my\ odd\ project/bot.py 'böt 🚀.py'
s 'supervise init; cat agents.yaml; supervise check; supervise apply --yes; supervise status'
