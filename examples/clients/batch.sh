#!/usr/bin/env bash
# One batch from file to results, with curl (and jq, to read the answers).
#
#   examples/clients/batch.sh INPUT.jsonl [OUTPUT.jsonl]
#
# INPUT holds OpenAI batch lines. INFERQ_SERVER and INFERQ_API_KEY name the server and the key.
set -euo pipefail

input=${1:?usage: batch.sh INPUT.jsonl [OUTPUT.jsonl]}
output=${2:-/dev/stdout}
server=${INFERQ_SERVER:-http://127.0.0.1:8080/v1}

# The key goes through a file descriptor: arguments can be seen by other users.
api() {
  curl --silent --show-error --fail-with-body \
    --config <(printf 'header = "Authorization: Bearer %s"\n' "${INFERQ_API_KEY:-none}") "$@"
}

file=$(api "$server/files" -F purpose=batch -F "file=@$input" | jq -r .id)
batch=$(api "$server/batches" -H 'Content-Type: application/json' \
  -d "{\"input_file_id\":\"$file\",\"endpoint\":\"/v1/chat/completions\",\"completion_window\":\"24h\"}" | jq -r .id)

while true; do
  answer=$(api "$server/batches/$batch")
  status=$(jq -r .status <<<"$answer")
  jq -c '[.status, .request_counts]' <<<"$answer" >&2
  case $status in completed | failed | expired | cancelled) break ;; esac
  sleep 1
done

results=$(jq -r '.output_file_id // empty' <<<"$answer")
[ -z "$results" ] || api "$server/files/$results/content" >"$output"
[ "$status" = completed ] && [ -z "$(jq -r '.error_file_id // empty' <<<"$answer")" ]
