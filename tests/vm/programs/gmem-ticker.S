/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The smallest guest that shows whether it goes on: firmware for a PC (-bios) that counts, in
 * memory, and says each number on the first serial port, eight hexadecimal digits and a line
 * feed. It sleeps until the timer's next interrupt, 50 in a second, in between.
 *
 * Where the log is appended to, line follows line: one that is missing, or there twice, is a
 * guest that was lost, or ran twice.
 *
 * With CLOCK it has KVM write the time of day to its memory, as Linux does. KVM does so again
 * whenever a VMM loads the guest.
 */
	.code16
	.globl	start
start:
first:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$0x7c00, %sp
	movl	$0, count
#ifdef CLOCK
	movl	$0x4b564d00, %ecx	/* MSR_KVM_WALL_CLOCK_NEW */
	movl	$clock, %eax
	xorl	%edx, %edx
	wrmsr
#endif

	/* The local APIC's timer, in x2APIC mode: 20 ms again and again, as vector 0x20 */
	movw	$timer, 0x20 * 4
	movw	$0xf000, 0x20 * 4 + 2
	movl	$0x1b, %ecx
	rdmsr
	orl	$0xc00, %eax
	wrmsr
	xorl	%edx, %edx
	movl	$0x80f, %ecx
	movl	$0x1ff, %eax
	wrmsr
	movl	$0x83e, %ecx
	movl	$0xb, %eax
	wrmsr
	movl	$0x832, %ecx
	movl	$0x20020, %eax
	wrmsr
	movl	$0x838, %ecx
	movl	$20000000, %eax
	wrmsr
	sti
next:
	hlt
	incl	count
	movl	count, %ebx
	movw	$8, %cx
digit:
	roll	$4, %ebx
	movb	%bl, %al
	andb	$15, %al
	addb	$'0', %al
	cmpb	$'9', %al
	jbe	1f
	addb	$('a' - '0' - 10), %al
1:	call	put
	loop	digit
	movb	$'\n', %al
	call	put
	jmp	next

/* Say %al, when the port is ready. */
put:
	movb	%al, %ah
	movw	$0x3fd, %dx
2:	inb	%dx, %al
	testb	$0x20, %al
	jz	2b
	movb	%ah, %al
	movw	$0x3f8, %dx
	outb	%al, %dx
	ret

timer:
	pushal
	movl	$0x80b, %ecx
	xorl	%eax, %eax
	xorl	%edx, %edx
	wrmsr
	popal
	iretw

	.equ	count, 0x8000
	.equ	clock, 0x9000
	/* Here a CPU begins. */
	.org	0xfff0
	ljmp	$0xf000, $first
	.org	0x10000
