#!/usr/bin/env bash
# Back up the database, the uploads and the audit checkpoints into one archive, and the keys into another file.
#
#   deploy/backup.sh DESTINATION [KEYS]         writes DESTINATION/assistant-YYYYmmddTHHMMSSZ.tar (mode 0600) and replaces
#                                               KEYS (default DESTINATION/assistant-keys.tar)
#   deploy/backup.sh --restore ARCHIVE [KEYS]   into an empty ASSISTANT_DATA_DIR (and an empty PostgreSQL database)
#
# Documents, texts and conversations in the archive are sealed; KEYS opens them. Keep KEYS elsewhere, and only the newest:
# what was erased is unreadable in every older archive because its key is in no newer KEYS. A restore forgets it for good.
# Secrets given in the environment (VAULT_KEY_FILE and others) are in neither: keep those yourself. Indexes and page
# pictures are left out; they are rebuilt.
set -euo pipefail
umask 077
here="$(cd "$(dirname "$0")/.." && pwd)"
python="${ASSISTANT_PYTHON:-$here/.venv/bin/python}"
[ -x "$python" ] || python=python3
data="$(cd "$here" && "$python" manage.py paths data)"
database="$(cd "$here" && "$python" manage.py paths database)"

usage() { sed -n '2,12p' "$0"; exit 2; }
[ $# -ge 1 ] || usage

if [ "$1" = --restore ]; then
  [ $# -eq 2 ] || [ $# -eq 3 ] || usage
  archive="$(realpath "$2")"
  keys="$(realpath "${3:-$(dirname "$archive")/assistant-keys.tar}")"
  [ -f "$keys" ] || { echo "The file of keys is missing: $keys. Without it nothing in the archive can be read." >&2; exit 1; }
  if [ -e "$data/assistant.sqlite3" ] || [ -d "$data/uploads" ]; then
    echo "Refusing to restore over existing data in $data; choose an empty ASSISTANT_DATA_DIR." >&2
    exit 1
  fi
  mkdir -p "$data"
  tar -C "$data" -xf "$archive"
  case "$database" in
    postgres*) pg_restore --no-owner --exit-on-error --dbname "$database" "$data/database.dump"; rm "$data/database.dump" ;;
  esac
  tar -C "$data" -xf "$keys"
  (cd "$here" && "$python" manage.py migrate --noinput --verbosity 0 && "$python" manage.py vault load "$data/keys.json" \
    && rm "$data/keys.json" && "$python" manage.py audit_verify && "$python" manage.py vault forget)
  echo "Restored into $data."
  exit 0
fi

destination="$(realpath "$1")"
mkdir -p "$destination"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
case "$database" in
  postgres*) pg_dump --format=custom --exclude-table-data=vault_wrappedkey --file "$work/database.dump" "$database"; dump=database.dump ;;
  *) "$python" - "$data/assistant.sqlite3" "$work/assistant.sqlite3" <<'PY'
import sqlite3, sys
# The online backup API copies a consistent state while the product runs.
source, target = sqlite3.connect(sys.argv[1]), sqlite3.connect(sys.argv[2], isolation_level=None)
source.backup(target)
# Keys go into a file of their own.
target.execute("PRAGMA journal_mode = DELETE")
target.execute("PRAGMA secure_delete = ON")
target.execute("DELETE FROM vault_wrappedkey")
target.execute("VACUUM")
target.close()
PY
    dump=assistant.sqlite3 ;;
esac
(cd "$here" && "$python" manage.py vault export "$work/keys.json")
parts=()
for part in uploads audit models; do [ -e "$data/$part" ] && parts+=("$part"); done
archive="$destination/assistant-$(date -u +%Y%m%dT%H%M%SZ).tar"
# The database first: an upload that arrives meanwhile is then an orphan file, never a row without its file.
tar -cf "$archive.part" -C "$work" "$dump" -C "$data" "${parts[@]}"
keys="${2:-$destination/assistant-keys.tar}"
secrets=(); [ -e "$data/secrets" ] && secrets=(-C "$data" secrets)
tar -cf "$keys.part" -C "$work" keys.json "${secrets[@]}"
mv "$archive.part" "$archive"
mv "$keys.part" "$keys"
sha256sum "$archive"
