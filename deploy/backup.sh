#!/usr/bin/env bash
# Back up the database, the uploads, the audit checkpoints and the secrets into one encrypted-at-rest-by-you folder.
#
#   deploy/backup.sh DESTINATION          writes DESTINATION/assistant-YYYYmmddTHHMMSSZ.tar (mode 0600)
#   deploy/backup.sh --restore ARCHIVE    into an empty ASSISTANT_DATA_DIR (and an empty PostgreSQL database)
#
# The archive holds the keys: keep it as safe as the data. Indexes and page pictures are left out; they are rebuilt.
set -euo pipefail
umask 077
here="$(cd "$(dirname "$0")/.." && pwd)"
python="${ASSISTANT_PYTHON:-$here/.venv/bin/python}"
[ -x "$python" ] || python=python3
data="$(cd "$here" && "$python" manage.py paths data)"
database="$(cd "$here" && "$python" manage.py paths database)"

usage() { sed -n '2,8p' "$0"; exit 2; }
[ $# -ge 1 ] || usage

if [ "$1" = --restore ]; then
  [ $# -eq 2 ] || usage
  archive="$(realpath "$2")"
  if [ -e "$data/assistant.sqlite3" ] || [ -d "$data/uploads" ]; then
    echo "Refusing to restore over existing data in $data; choose an empty ASSISTANT_DATA_DIR." >&2
    exit 1
  fi
  mkdir -p "$data"
  tar -C "$data" -xf "$archive"
  case "$database" in
    postgres*) pg_restore --no-owner --exit-on-error --dbname "$database" "$data/database.dump"; rm "$data/database.dump" ;;
  esac
  (cd "$here" && "$python" manage.py migrate --noinput --verbosity 0 && "$python" manage.py audit_verify)
  echo "Restored into $data."
  exit 0
fi

destination="$(realpath "$1")"
mkdir -p "$destination"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
case "$database" in
  postgres*) pg_dump --format=custom --file "$work/database.dump" "$database"; dump=database.dump ;;
  *) "$python" - "$data/assistant.sqlite3" "$work/assistant.sqlite3" <<'PY'
import sqlite3, sys
# The online backup API copies a consistent state while the product runs.
with sqlite3.connect(sys.argv[1]) as source, sqlite3.connect(sys.argv[2]) as target:
    source.backup(target)
PY
    dump=assistant.sqlite3 ;;
esac
parts=()
for part in uploads audit secrets models; do [ -e "$data/$part" ] && parts+=("$part"); done
archive="$destination/assistant-$(date -u +%Y%m%dT%H%M%SZ).tar"
# The database first: an upload that arrives meanwhile is then an orphan file, never a row without its file.
tar -cf "$archive.part" -C "$work" "$dump" -C "$data" "${parts[@]}"
mv "$archive.part" "$archive"
sha256sum "$archive"
