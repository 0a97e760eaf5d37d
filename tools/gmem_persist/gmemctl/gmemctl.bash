# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Completion for gmemctl(8): copy it to /usr/share/bash-completion/completions/gmemctl

_gmemctl() {
	local word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD - 1]} names
	COMPREPLY=()
	case $last in
	gmemctl)
		mapfile -t COMPREPLY < <(compgen -W \
			"status list show create discard freeze thaw decode" -- "$word") ;;
	show)
		names=$(cat /sys/kernel/mm/gmem_persist/objects/*/path 2>/dev/null)
		mapfile -t COMPREPLY < <(compgen -W "$names" -- "$word") ;;
	discard)
		names=$(ls -I '#*' /sys/kernel/mm/gmem_persist/objects 2>/dev/null)
		mapfile -t COMPREPLY < <(compgen -W "$names" -- "$word") ;;
	--granule)
		mapfile -t COMPREPLY < <(compgen -W "2M 1G" -- "$word") ;;
	decode)
		mapfile -t COMPREPLY < <(compgen -f -W "--json" -- "$word") ;;
	*)
		case ${COMP_WORDS[1]} in
		create)
			mapfile -t COMPREPLY < <(compgen -W \
				"--granule --nodes --private" -- "$word") ;;
		status | list | show | decode)
			mapfile -t COMPREPLY < <(compgen -W "--json" -- "$word") ;;
		esac ;;
	esac
}
complete -F _gmemctl gmemctl
