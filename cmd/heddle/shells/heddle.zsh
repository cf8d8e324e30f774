#compdef heddle
# Completion of heddle for zsh: source <(heddle completion zsh), or save it as _heddle in a folder of $fpath.
_heddle() {
  local line
  local -a candidates
  for line in "${(@f)$("${words[1]}" __complete --shell zsh -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    if [[ $line == :files ]]; then
      _files
      return
    fi
    [[ -n $line ]] && candidates+=("$line")
  done
  _describe heddle candidates
}
if [[ $funcstack[1] == _heddle ]]; then
  _heddle "$@"
else
  compdef _heddle heddle
fi
