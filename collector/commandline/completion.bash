# Completion of %[1]s for bash. It needs nothing else, and runs nothing that is typed.
_%[1]s() {
	local current=${COMP_WORDS[COMP_CWORD]} line
	local words=("${COMP_WORDS[@]:1:COMP_CWORD-1}")
	[[ $current != -* ]] || words+=("$current")
	COMPREPLY=()
	while IFS= read -r line; do
		line=${line%%%%:*}
		[[ -z $line || $line != "$current"* ]] || COMPREPLY+=("$line")
	done < <("${COMP_WORDS[0]/#\~/$HOME}" "${words[@]}" --generate-shell-completion 2>/dev/null)
}
complete -o bashdefault -o default -F _%[1]s %[1]s
