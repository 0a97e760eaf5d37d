/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The first sector of a disk, from which a PC boots: a guest that counts, in memory, and writes
 * to the disk's second sector, by the BIOS, how often it has booted and how far it is, each a
 * number of 32 bits. The first one is read from there at boot.
 */
	.code16
	.globl	start
	.set	boots, 0x7e00
	.set	count, boots + 4
start:
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7c00, %sp
	movb	%dl, drive
	sti
	movw	$0x0201, %ax		/* read a sector */
	call	disk
	incl	boots
	movl	$0, count
next:
	hlt				/* until the timer's next interrupt, 18 in a second */
	incl	count
	movw	$0x0301, %ax		/* write it */
	call	disk
	jmp	next

disk:
	movw	$boots, %bx
	movw	$2, %cx
	movb	$0, %dh
	movb	drive, %dl
	int	$0x13
	ret
drive:
	.byte	0
	.org	510
	.word	0xaa55
