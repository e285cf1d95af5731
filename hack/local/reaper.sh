#!/usr/bin/env bash
# Cleans up after a process that can no longer do it itself, as after kill -9: reads what that process started from
# its pipe, and when the pipe ends, ends what is still there.
#   child PID     a process group to kill
#   gone PID      it ended by itself; its number may belong to somebody else by now
#   folder PATH   a folder to remove
set -uo pipefail
# Ctrl-C is for the one who is watched; the end of the pipe says when it has died of it.
trap '' INT TERM HUP

# When a process began, so that a number that was given anew is not mistaken for it.
began() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  # The name in brackets may hold spaces; what follows it may not. The start is the 22nd field of all.
  read -ra stat <<<"${stat##*) }"
  echo "${stat[19]}"
}

declare -A children=() folders=()
while read -r word value; do
  case $word in
    child) children[$value]=$(began "$value") ;;
    gone) unset "children[$value]" ;;
    folder) folders[$value]=1 ;;
  esac
done

for pid in "${!children[@]}"; do
  if [[ -n ${children[$pid]} && $(began "$pid") == "${children[$pid]}" ]]; then kill -KILL -- "-$pid" 2>/dev/null; fi
done
for folder in "${!folders[@]}"; do
  # Files of a process that is just dying may still appear.
  for _ in 1 2 3 4 5; do rm -rf -- "$folder" 2>/dev/null && break || sleep 0.1; done
done
